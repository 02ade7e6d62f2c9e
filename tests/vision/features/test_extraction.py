"""Frozen features: computed once, never stale, and told apart by all that made them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_ground import draw_image, fill_pixels

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.ground import Ground
from graft.vision.errors import HarmonyError
from graft.vision.features.engines import Precision
from graft.vision.features.extraction import FrozenFeatures, as_stored, extract_features
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.model import GraftedModel
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array, digest_of

TORCH = FeatureExtractionOptions(engine="torch", batch_size=4)


@dataclass
class Extraction:
    """Extracts the ground's features into one folder, with what a test changes."""

    ground: Ground
    folder: Path
    model: GraftedModel = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.ground.new_model()

    def __call__(
        self,
        rows: pd.DataFrame | None = None,
        folder: Path | None = None,
        views: int = 0,
        preset: str = "traffic_sign",
        seed: int = 0,
        precision: Precision = "auto",
        **view: Any,
    ) -> FrozenFeatures:
        ground = self.ground
        policy = compose_policy(
            PolicyOptions.parse({"preset": preset}, "test"), ground.preprocessing, ground.task
        )
        augmenter = Augmenter(policy, ground.task, seed)
        return extract_features(
            ground.rows if rows is None else rows,
            ground.pixels,
            self.model,
            ground.preprocessing.model_copy(update=view),
            folder or self.folder,
            TORCH.model_copy(update={"augmented_views": views, "precision": precision}),
            lambda pixels, name, number: augmenter(pixels, {}, -number, name)[0],
            digest_of([policy, seed]),
        )


@pytest.fixture
def extract(ground: Ground, tmp_path: Path) -> Extraction:
    return Extraction(ground, tmp_path / "features")


def test_extraction__computes_each_image_once(extract: Extraction) -> None:
    cold = extract()
    assert cold.computed == len(extract.ground.rows)
    assert extract().computed == 0


def test_extraction__is_the_backbone_on_the_plain_view(extract: Extraction) -> None:
    ground, found = extract.ground, extract(precision="fp32")
    views = [
        view_of(ground.pixels.read(s), ground.preprocessing) for s in found.table["sha256"][:5]
    ]
    with torch.inference_mode():
        wanted = extract.model.features(torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found.matrix(found.table[:5]), wanted, rtol=1e-4, atol=1e-5)


def test_extraction__warm_is_bitwise_equal_to_cold(extract: Extraction, tmp_path: Path) -> None:
    cold = extract().matrix
    table = extract().table
    first, warm = cold(table), extract().matrix(table)
    elsewhere = extract(folder=tmp_path / "again")
    assert elsewhere.computed == len(table)
    np.testing.assert_array_equal(first, warm)
    np.testing.assert_array_equal(first, elsewhere.matrix(elsewhere.table))


def test_extraction__computes_one_changed_image_alone(extract: Extraction) -> None:
    before, rows = extract(), extract.ground.rows.copy()
    image = draw_image(0, 0)
    image[0, 0, 0] ^= 1
    rows.loc[5, "sha256"] = fill_pixels(extract.ground.pixels, [image])[0]
    after = extract(rows)
    assert after.computed == 1
    one, other = before.matrix(before.table), after.matrix(after.table)
    assert (one != other).any(axis=1).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize(
    "view",
    [{"interpolation": "bilinear"}, {"resize": "exact"}, {"crop_share": 1.0}, {"fit": "squash"}],
)
def test_extraction__computes_all_for_another_view(
    extract: Extraction, view: dict[str, Any]
) -> None:
    extract()
    assert extract(**view).computed == len(extract.ground.rows)
    assert extract().computed == 0


def test_extraction__computes_all_when_one_weight_changes(extract: Extraction) -> None:
    extract()
    with torch.no_grad():
        next(extract.model.backbone.parameters())[0, 0, 0, 0].add_(1e-6)
    assert extract().computed == len(extract.ground.rows)


def test_extraction__computes_all_when_a_batch_norm_buffer_changes(extract: Extraction) -> None:
    extract()
    next(b for n, b in extract.model.backbone.named_buffers() if n.endswith("mean")).add_(1e-3)
    assert extract().computed == len(extract.ground.rows)


def test_extraction__does_not_ask_the_head(extract: Extraction) -> None:
    extract()
    torch.nn.init.ones_(extract.model.head.weight)
    assert extract().computed == 0


def test_augmented_views__are_of_training_images_and_keyed_apart(extract: Extraction) -> None:
    training = len(extract.ground.split("train"))
    extract()
    found = extract(views=2)
    assert found.computed == 2 * training
    assert set(found.table.loc[found.table["view"] > 0, "split"]) == {"train"}
    assert found.table["key"].is_unique
    assert extract(views=2).computed == 0
    assert extract(views=3).computed == training
    shown = found.table[found.table["id"] == found.table["id"][0]]
    features = found.matrix(shown)
    assert len({row.tobytes() for row in features}) == 3


@pytest.mark.parametrize("change", [{"preset": "natural"}, {"seed": 1}])
def test_augmented_views__of_another_policy_or_seed_are_others(extract: Extraction, change) -> None:
    extract(views=1)
    assert extract(views=1, **change).computed == len(extract.ground.split("train"))


def test_augmented_views__of_equal_pixels_differ_by_the_name_of_the_sample(
    extract: Extraction,
) -> None:
    rows = extract.ground.split("train")[:2].copy()
    rows["sha256"] = rows["sha256"][0]
    found = extract(rows, views=1)
    assert found.computed == 3  # the plain view is one
    plain, _, one, other = found.matrix(found.table)
    assert len({plain.tobytes(), one.tobytes(), other.tobytes()}) == 3


def test_extraction__computes_all_in_another_precision(extract: Extraction) -> None:
    half = extract(precision="bf16")
    full = extract(precision="fp32")
    assert half.computed == full.computed == len(extract.ground.rows)
    assert extract(precision="bf16").computed == 0
    one, other = half.matrix(half.table), full.matrix(full.table)
    assert (one != other).any()


def test_features__that_no_stored_format_holds_are_refused() -> None:
    fine = np.array([[-65504, 1e-4]], np.float32)
    np.testing.assert_array_equal(as_stored(fine, np.float16), fine.astype(np.float16))
    for value in (65520, -np.inf, np.nan):
        with pytest.raises(HarmonyError, match=r"cannot be stored; found: a value of .*65504"):
            as_stored(np.array([[0, value]], np.float32), np.float16)


def test_features__of_no_image_are_an_empty_matrix(extract: Extraction) -> None:
    found = extract()
    assert found.matrix(found.table[:0]).shape[0] == 0


@pytest.mark.parametrize("stop_at", [3, 9])
def test_extraction__goes_on_where_it_was_interrupted(
    extract: Extraction, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    ground, left = extract.ground, [stop_at]
    read: Callable[[str], Array] = ground.pixels.read

    def stopping(sha256: str) -> Array:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return read(sha256)

    with monkeypatch.context() as patch:
        patch.setattr(ground.pixels, "read", stopping)
        with pytest.raises(KeyboardInterrupt):
            extract()
    after = extract()
    assert after.computed <= len(ground.rows)
    fresh = extract(folder=extract.folder.parent / "fresh")
    np.testing.assert_allclose(
        after.matrix(after.table), fresh.matrix(fresh.table), rtol=1e-4, atol=1e-5
    )


def test_preprocessing__digest_knows_every_field(ground: Ground) -> None:
    view, seen = ground.preprocessing, set()
    changes = {
        "size_px": 64,
        "crop_share": 0.5,
        "fit": "letterbox",
        "interpolation": "area",
        "antialias": False,
        "resize": "exact",
        "mean": (0.1,) * 3,
        "std": (0.1,) * 3,
        "channels": 4,
    }
    assert set(changes) == set(Preprocessing.model_fields)
    for name, value in changes.items():
        seen.add(view.model_copy(update={name: value}).digest)
    assert len(seen | {view.digest}) == len(changes) + 1
