"""Engines: whichever computes, the features are the same."""

import numpy as np
import pytest
import torch
from tiny_ground import VIEW_PX

from graft.vision.backbones.backbone import Backbone
from graft.vision.contenders.ground import Ground
from graft.vision.errors import OptionsError
from graft.vision.features import engines
from graft.vision.features.engines import Engine, available_engines, choose_engine
from graft.vision.model import GraftedModel
from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tasks.classification.model import build_model
from graft.vision.tasks.classification.options import TaskOptions


@pytest.fixture(scope="module")
def model(lite0: Backbone) -> GraftedModel:
    return build_model(lite0, ClassTable(names=("ant", "bee")), TaskOptions()).eval()


def some_views(count: int, side_px: int, channels: int = 3) -> Array:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side_px, side_px, channels), dtype=np.uint8)


def cosines(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, model: GraftedModel) -> Engine:
    """Built for batches of five at 64 px."""
    if request.param not in available_engines():
        pytest.skip(f"{request.param} is not installed")
    return choose_engine(model, 64, 5, request.param)


def test_engine__agrees_with_the_model_itself(engine: Engine, model: GraftedModel) -> None:
    views = some_views(5, 64)
    with torch.inference_mode():
        wanted = model.features(torch.from_numpy(views).permute(0, 3, 1, 2)).numpy()
    found = engine.features(views)
    assert found.shape == (5, 1280)
    assert found.dtype == np.float32
    assert cosines(found, wanted).min() > 0.9999


def test_engine__gives_the_rows_of_any_batch_in_order(engine: Engine) -> None:
    views = some_views(5, 64)
    whole = engine.features(views)
    assert cosines(engine.features(views[::-1]), whole[::-1]).min() > 0.99999
    for count in range(1, 5):
        part = engine.features(views[:count])
        assert part.shape == (count, 1280)
        assert cosines(part, whole[:count]).min() > 0.99999


def test_openvino__takes_batches_of_one(ground: Ground) -> None:
    pytest.importorskip("openvino")
    views = some_views(1, VIEW_PX)
    built, plain = (
        choose_engine(ground.new_model(), VIEW_PX, 1, name) for name in ("openvino", "torch")
    )
    assert cosines(built.features(views), plain.features(views)).min() > 0.9999


def test_engine__names_itself_with_its_version(ground: Ground) -> None:
    engine = choose_engine(ground.new_model(), VIEW_PX, 2, "torch")
    assert engine.name == f"torch {torch.__version__}"


def test_engine__that_is_not_here_is_refused_with_those_that_are(
    ground: Ground, monkeypatch
) -> None:
    monkeypatch.setattr(engines, "device_name", lambda: "cpu")
    with pytest.raises(
        OptionsError, match=r"engine 'cuda' is not to be had.*allowed: auto,.*torch"
    ):
        choose_engine(ground.new_model(), VIEW_PX, 2, "cuda")


def test_auto__takes_the_gpu_then_openvino_then_torch(monkeypatch) -> None:
    monkeypatch.setattr(engines, "device_name", lambda: "cuda")
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    assert available_engines()[:3] == ["cuda", "openvino", "torch"]
    monkeypatch.setattr(engines, "device_name", lambda: "cpu")
    assert available_engines()[0] == "openvino"
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert available_engines()[0] == "torch"
