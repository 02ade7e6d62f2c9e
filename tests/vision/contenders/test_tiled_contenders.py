"""Images larger than a view, tile by tile: trained on parts, judged whole, one image at a time."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.fine_tuned import train_fine_tuned
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.meeting import calibrate_models, outputs_of, predict_contenders
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.data.masks import open_masks
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import HarmonyError
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.model import TrainedModel
from graft.vision.preprocessing import Preprocessing
from graft.vision.tasks import choose_task
from graft.vision.training.options import FineTuningOptions

CLASSES = ("field", "hut", "pond")
SIZES = ((150, 100), (64, 64), (40, 30))
"""Of six tiles, of one, and smaller than one."""
SPLITS = ("train",) * 8 + ("val",) * 12 + ("test",) * 3
BACKBONE = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=64, fit="tiles")
INGESTION = IngestionOptions(decoding=DecodingOptions(short_side_px=128))
OPTIONS: dict[str, dict[str, Any]] = {
    "detection": {"pyramid_channels": 16, "head_units": 16},
    "segmentation": {},
    "classification": {},
}


def truth_of(task: str, place: int) -> str:
    width, height = SIZES[place % 3]
    said: dict[str, Any] = {"size_px": [width, height], "classes": list(CLASSES)}
    if task == "segmentation":
        named = {"mask": "mask.png", "mask_sha256": f"m{place}", "names": CLASSES, "ignored": 255}
        return json.dumps({**said, **named})
    boxes = [[0, 0, width, height], [0, 0, 20, 20], [20, 5, 28, 28]]
    return json.dumps({**said, "boxes_xyxy": boxes})


def lay(task: str, folder: Path) -> Ground:
    digests = [hashlib.sha256(str(place).encode()).hexdigest() for place in range(len(SPLITS))]
    sizes = [SIZES[place % 3] for place in range(len(SPLITS))]
    with (
        PixelStore(folder, INGESTION.decoding).array_store.writer() as pixels,
        open_masks(folder).writer() as masks,
    ):
        for place, (digest, (width, height)) in enumerate(zip(digests, sizes, strict=True)):
            mask = (np.indices((height, width)).sum(axis=0) // (20 + place) % 3).astype(np.uint8)
            pixels.add(digest, (mask[:, :, None] == np.arange(3)).astype(np.uint8) * 255)
            masks.add(f"m{place}", mask)
    rows = pd.DataFrame({"id": [f"{place}.png" for place in range(len(SPLITS))], "sha256": digests})
    rows = rows.assign(path=rows["id"], cluster=rows["id"], split=SPLITS, channels=3, group="")
    rows["truth"] = [truth_of(task, place) for place in range(len(SPLITS))]
    rows["width"], rows["height"] = zip(*sizes, strict=True)
    card = describe_backbone(BACKBONE)
    view = Preprocessing.from_record(card["preprocessing"])
    policy = compose_policy(PolicyOptions(preset="natural"), view, choose_task({"name": task})[0])
    return lay_ground(
        {"name": task, **OPTIONS[task]},
        {"names": CLASSES, "exclusive": True},
        rows,
        folder,
        INGESTION,
        BACKBONE,
        card,
        policy,
        seed=0,
    )


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def tiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """The ground of a dense task whose images are tiled."""
    return lay(request.param, tmp_path_factory.mktemp("tiled") / "pixels")


@pytest.fixture(scope="module")
def model(tiled: Ground) -> TrainedModel:
    """One that has learned nothing."""
    return tiled.finish("fine_tuned", tiled.new_model(), "full", 1.0, {})


def test_outputs__are_those_of_all_tiles_or_of_the_plain_one(
    tiled: Ground, model: TrainedModel
) -> None:
    test = tiled.split("test")
    outputs, plain = outputs_of(tiled, model, test), outputs_of(tiled, model, test, plain=True)
    assert list(test["width"]) == [40, 150, 64]
    assert [frame.tile for frame in tiled.frames(test)] == [0, *range(6), 0]
    assert len(outputs) == 8 and len(plain) == len(tiled.plain_frames(test)) == 3
    torch.testing.assert_close(outputs[[0, -1]], plain[[0, -1]])
    assert outputs_of(tiled, model, test).equal(outputs)


def test_predictions__have_a_row_per_image_and_are_those_of_the_model(
    tiled: Ground, model: TrainedModel
) -> None:
    table = predict_contenders(tiled, [model], {"fine_tuned": 1.0})
    assert len(table) == 3
    images = [tiled.pixels.read(sha256) for sha256 in table["sha256"]]
    said = pd.concat([model.predict([pixels]) for pixels in images], ignore_index=True)
    assert list(said["prediction"]) == list(table["prediction"])
    many = model.predict(images)
    np.testing.assert_allclose(many["score"], table["score"], atol=1e-5)


def test_predictions__hold_the_tiles_of_one_image_at_a_time(
    tiled: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    model = tiled.finish("other", tiled.new_model(), "full", 1.0, {})
    for parameter in model.module.parameters():
        parameter.data += 0.01  # so that nothing is known of it
    outputs: Callable[..., torch.Tensor] = TrainedModel.outputs

    def counted(self: TrainedModel, images: list[Any], **options: Any) -> torch.Tensor:
        asked.append(len(images))
        return outputs(self, images, **options)

    monkeypatch.setattr(TrainedModel, "outputs", counted)
    predict_contenders(tiled, [model], {"other": 1.0})
    assert asked == [1, 1, 1]


def test_temperature__is_fitted_on_the_plain_tiles(tiled: Ground, model: TrainedModel) -> None:
    (found,) = calibrate_models(tiled, [model]).values()
    assert found > 0


def test_training__runs_from_the_probe_to_the_tuned_model(tiled: Ground, tmp_path: Path) -> None:
    engine = FeatureExtractionOptions(engine="torch", batch_size=4)
    found = extract_frozen_features(tiled, tmp_path, engine)
    options = ProbingOptions(epochs=1, batch_size=4)
    probe, report = train_probe(tiled, found, tmp_path, tmp_path / "c", options)
    tuning = FineTuningOptions(epochs=1, batch_size=4, workers=1)
    tuned, history = train_fine_tuned(tiled, probe, tmp_path / "c", tuning)
    assert report["epochs"] == len(history) == 1
    assert tuned.card.preprocessing.fit == "tiles"


class Painted(nn.Module):
    """Says of each pixel of a view the class that its colour is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return views.float() * self.scale


def test_validation__judges_a_tile_by_what_it_shows(tmp_path: Path) -> None:
    found = lay("segmentation", tmp_path / "pixels").validation().score(Painted())
    assert found["score"] == pytest.approx(1.0)
    assert found["loss"] < 1e-3


def test_classification__is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(HarmonyError, match=r"found: backbone\.fit: tiles"):
        lay("classification", tmp_path / "pixels")
