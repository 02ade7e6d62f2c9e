"""Engines: whichever computes, the features are the same."""

import numpy as np
import pytest
import torch
from tiny_ground import VIEW_PX

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
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


def test_engine__gives_an_image_the_same_bits_in_any_batch(engine: Engine) -> None:
    views = some_views(5, 64)
    whole = engine.features(views)
    alone = np.concatenate([engine.features(views[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(alone, whole)


def test_torch__gives_the_same_bits_where_kernels_are_chosen_by_batch() -> None:
    backbone = load_backbone(BackboneOptions(name="resnet18", weights="none"))
    engine = choose_engine(
        build_model(backbone, ClassTable(names=("a", "b")), TaskOptions()).eval(), 64, 8, "torch"
    )
    views = some_views(8, 64)
    alone = np.concatenate([engine.features(views[i : i + 1]) for i in range(8)])
    np.testing.assert_array_equal(alone, engine.features(views))


@pytest.mark.parametrize("size_px", [160, 96])
def test_engines__agree_on_a_transformer_at_any_size(size_px: int) -> None:
    if "openvino" not in available_engines():
        pytest.skip("openvino is not installed")
    backbone = load_backbone(BackboneOptions(name="test_vit", weights="none"))
    model = build_model(backbone, ClassTable(names=("a", "b")), TaskOptions()).eval()
    views = some_views(3, size_px)
    torch_s, openvino_s = (
        choose_engine(model, size_px, 4, name).features(views) for name in ("torch", "openvino")
    )
    np.testing.assert_allclose(openvino_s, torch_s, atol=5e-5)


def test_openvino__that_cannot_read_a_model_says_what_to_set(model, monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")

    def unable(*_: object, **__: object) -> None:
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(openvino, "convert_model", unable)
    with pytest.raises(OptionsError, match=r"cannot read tf_efficientnet_lite0.*to 'torch'"):
        choose_engine(model, 64, 4, "openvino")


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
