"""What is stored of frozen stages is never stale, for pooled features, maps and outputs alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from task_grounds import SCENES, lay_scenes

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.frozen_outputs import store_frozen_outputs
from graft.vision.contenders.ground import Ground
from graft.vision.features.engines import available_engines
from graft.vision.features.extraction import extract_features
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.model import GraftedModel
from graft.vision.records import Array, digest_of
from graft.vision.tasks import TASKS
from graft.vision.training.options import FineTuningOptions

Store = Callable[[Ground, GraftedModel, Path], tuple[int, dict[str, Array]]]
"""Compute what the folder lacks: how much that was, and all that it holds of the ground's images,
by image and view."""
VIEWS = 1
"""Drawn views, beside the plain ones."""


def features_by(engine: str) -> Store:
    options = FeatureExtractionOptions(
        engine=engine,  # type: ignore[arg-type]
        batch_size=4,
        augmented_views=VIEWS,
    )

    def store(ground: Ground, model: GraftedModel, folder: Path) -> tuple[int, dict[str, Array]]:
        drawn, truths = Augmenter(ground.policy, ground.task, ground.seed), {}
        for name, truth in zip(ground.rows["id"], ground.truths(ground.rows), strict=True):
            truths[name] = truth
        found = extract_features(
            ground.rows,
            ground.pixels,
            model,
            ground.preprocessing,
            folder,
            options,
            lambda pixels, name, view: drawn(pixels, truths[name], -view, name)[0],
            digest_of([ground.policy, ground.seed]),
        )
        rows = found.table.itertuples()
        return found.computed, {f"{row.id} {row.view}": found.read(row) for row in rows}

    return store


def outputs(ground: Ground, model: GraftedModel, folder: Path) -> tuple[int, dict[str, Array]]:
    options = FineTuningOptions(strategy="full", frozen_stages=3, stored_views=VIEWS, workers=0)
    found = store_frozen_outputs(ground, model, folder, options)
    views = [*found.views[1], *found.validation_views]
    return found.computed, {f"{v.row.id} {v.number}": found.store.read(v.key) for v in views}


STORES = {
    "torch": features_by("torch"),
    "openvino": features_by("openvino"),
    "stored outputs": outputs,
}


@dataclass(frozen=True)
class Kept:
    """A store of one kind over a ground: 8 training images, each plain and drawn (or drawn alone),
    and 4 that are plain."""

    ground: Ground
    kind: str
    folder: Path

    def __call__(
        self, ground: Ground | None = None, model: GraftedModel | None = None, where: str = "warm"
    ) -> tuple[int, dict[str, Array]]:
        ground = ground or self.ground
        model = model or self.ground.new_model()
        return STORES[self.kind](ground, model, self.folder / where)

    @property
    def all(self) -> int:
        return 4 + 8 * (1 if self.kind == "stored outputs" else 2)


@pytest.fixture(scope="module", params=TASKS)
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    ground = lay_scenes(request.param, tmp_path_factory.mktemp("pixels") / "pixels", SCENES * 3)
    options = PolicyOptions.parse({"preset": "natural"}, "test")
    policy = compose_policy(options, ground.preprocessing, ground.task)
    rows = ground.rows.assign(split=["train"] * 8 + ["val"] * 4)
    return replace(ground, rows=rows, policy=policy)


@pytest.fixture(
    params=["torch", pytest.param("openvino", marks=pytest.mark.slow), "stored outputs"]
)
def kept(request: pytest.FixtureRequest, scenes: Ground, tmp_path: Path) -> Kept:
    if request.param == "openvino" and "openvino" not in available_engines():
        pytest.skip("OpenVINO is not installed")
    return Kept(scenes, request.param, tmp_path)


def changed(one: dict[str, Array], other: dict[str, Array]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not np.array_equal(one[name], other[name])}


def assert_as_cold(kept: Kept, warm: dict[str, Array], **given: Any) -> None:
    """What the warm store holds is what an empty one gets, bit for bit."""
    where = f"cold-{len(list(kept.folder.iterdir()))}"
    computed, cold = kept(**given, where=where)
    assert computed == kept.all
    assert changed(warm, cold) == set()


def with_another_image(ground: Ground, row: int) -> Ground:
    """A part of its middle differs, which any view shows."""
    rows, key = ground.rows.copy(), f"another-{row}"
    pixels = ground.pixels.read(rows["sha256"][row]).copy()
    pixels[24:40, 40:80] ^= 0x20
    with ground.pixels.array_store.writer() as writer:
        writer.add(key, pixels, {"width": pixels.shape[1], "height": pixels.shape[0]})
    rows.loc[row, "sha256"] = key
    return replace(ground, rows=rows)


def test_store__computes_one_changed_image_alone_and_ends_as_if_it_were_cold(kept: Kept) -> None:
    computed, before = kept()
    assert computed == kept.all == len(before)
    for row, views in ((9, 1), (2, 1 if kept.kind == "stored outputs" else 2)):  # of val, of train
        other = with_another_image(kept.ground, row)
        computed, after = kept(other)
        assert computed == views
        assert {name.split()[0] for name in changed(before, after)} == {f"{row}.png"}
        assert kept(other)[0] == kept()[0] == 0
        assert_as_cold(kept, after, ground=other)


def test_store__computes_all_for_another_interpolation(kept: Kept) -> None:
    before = kept()[1]
    view = kept.ground.preprocessing.model_copy(update={"interpolation": "area"})
    policy = compose_policy(
        PolicyOptions.parse({"preset": "natural"}, "test"), view, kept.ground.task
    )
    other = replace(kept.ground, preprocessing=view, policy=policy)
    computed, after = kept(other)
    assert computed == kept.all
    assert changed(before, after)
    assert_as_cold(kept, after, ground=other)
    assert kept()[0] == 0 and changed(before, kept()[1]) == set()


@pytest.mark.parametrize("stage", ["first", "last"])
def test_store__computes_all_for_one_other_weight_of_what_is_frozen(kept: Kept, stage: str) -> None:
    before, model = kept()[1], kept.ground.new_model()
    last = 2 if kept.kind == "stored outputs" else -1
    at = model.backbone.stages[0 if stage == "first" else last]
    named = [(n, p) for n, p in model.named_parameters() if model.stage_of(n) == at]
    with torch.no_grad():
        weight = next(p for n, p in named if p.dim() == 4).view(-1)[:1]
        weight.copy_(torch.nextafter(weight, torch.tensor([9.0])))  # by one in its last place
    computed, after = kept(model=model)
    assert computed == kept.all
    assert_as_cold(kept, after, model=model)
    assert kept()[0] == 0 and changed(before, kept()[1]) == set()
