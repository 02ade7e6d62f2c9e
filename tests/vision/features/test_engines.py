"""Engines: whichever computes, the features are the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_ground import VIEW_PX

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.contenders.ground import Ground
from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.errors import OptionsError
from graft.vision.features import engines
from graft.vision.features.engines import (
    Engine,
    Precision,
    available_engines,
    choose_engine,
    engine_identity,
)
from graft.vision.model import GraftedModel
from graft.vision.preprocessing import view_of
from graft.vision.records import Array
from graft.vision.runtime import computes_bf16_fast
from graft.vision.task import ClassTable
from graft.vision.tasks.classification.model import build_model
from graft.vision.tasks.classification.options import TaskOptions

RULE = DecodingOptions()
PRECISIONS: tuple[Precision, Precision] = ("bf16", "fp32")


@pytest.fixture(scope="module")
def model(lite0: Backbone) -> GraftedModel:
    return build_model(lite0, ClassTable(names=("ant", "bee")), TaskOptions()).eval()


def some_views(count: int, side_px: int, channels: int = 3) -> Array:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side_px, side_px, channels), dtype=np.uint8)


def cosines(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


def some_scenes(count: int, side_px: int) -> Array:
    """Views that are smooth with edges and some grain, as photographs are."""
    rng = np.random.default_rng(1)
    scenes = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        for _ in range(4):
            place = tuple(int(value) for value in rng.integers(0, side_px, 2))
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            cv2.circle(scene, place, side_px // 6, colour, -1, cv2.LINE_AA)
        grain = rng.normal(0, 4, scene.shape)
        scenes.append(np.clip(scene + grain, 0, 255).astype(np.uint8))
    return np.stack(scenes)


def build(model: GraftedModel, size_px: int, batch: int, name: str, precision: str) -> Engine:
    """The engine, or a skip where this machine lacks it."""
    if name not in available_engines():
        pytest.skip(f"{name} is not installed")
    if precision == "bf16" and name == "openvino" and not computes_bf16_fast("cpu"):
        pytest.skip("this CPU computes no bf16")
    return choose_engine(model, size_px, batch, name, precision)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, model: GraftedModel) -> Engine:
    """Built for batches of five at 64 px, in fp32."""
    return build(model, 64, 5, request.param, "fp32")


@pytest.fixture(scope="module", params=["torch", "openvino"])
def half(request: pytest.FixtureRequest, model: GraftedModel) -> Engine:
    """Built for batches of five at 64 px, in bf16."""
    return build(model, 64, 5, request.param, "bf16")


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


def test_half_precision__gives_an_image_the_same_bits_in_any_batch(half: Engine) -> None:
    views = some_scenes(5, 64)
    whole = half.features(views)
    alone = np.concatenate([half.features(views[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(alone, whole)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_half_precision__points_where_full_precision_does(name: str, model: GraftedModel) -> None:
    scenes = some_scenes(16, 224)
    half, full = (build(model, 224, 8, name, p).features(scenes) for p in PRECISIONS)
    assert half.dtype == np.float32
    assert (half != full).any()
    # Of what is drawn an ImageNet backbone makes small features, which round worse than others.
    assert cosines(half, full).mean() > 0.998


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_half_precision__keeps_the_features_of_photographs(
    name: str, model: GraftedModel, ground: Ground, real_data: Path
) -> None:
    view = ground.preprocessing.model_copy(update={"size_px": 224})
    files = sorted((real_data / "hymenoptera/val").rglob("*.jpg"))[::5]
    shown = np.stack([view_of(decode(f.read_bytes(), RULE).pixels, view) for f in files])
    half, full = (
        np.concatenate([engine.features(part) for part in np.array_split(shown, len(shown) // 8)])
        for engine in (build(model, 224, 16, name, precision) for precision in PRECISIONS)
    )
    assert cosines(half, full).mean() > 0.999


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_half_precision__keeps_the_features_of_a_transformer(name: str) -> None:
    backbone = load_backbone(BackboneOptions(name="test_vit", weights="none"))
    vit = build_model(backbone, ClassTable(names=("a", "b")), TaskOptions()).eval()
    scenes = some_scenes(4, 96)
    half, full = (build(vit, 96, 4, name, precision).features(scenes) for precision in PRECISIONS)
    assert cosines(half, full).mean() > 0.999


@pytest.fixture(scope="module")
def pyramid() -> GraftedModel:
    backbone = load_backbone(BackboneOptions(name="efficientnet_lite0")).pyramid((8, 32))
    return GraftedModel(backbone, torch.nn.Identity()).eval()


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_maps__are_those_of_the_model_by_themselves_and_near_in_half_precision(
    name: str, pyramid: GraftedModel
) -> None:
    scenes = some_scenes(4, 96)
    with torch.inference_mode():
        wanted = pyramid.flat_features(torch.from_numpy(scenes).permute(0, 3, 1, 2)).numpy()
    found = build(pyramid, 96, 4, name, "auto").features(scenes)
    assert cosines(found, wanted).min() > 0.9999
    half = build(pyramid, 96, 4, name, "bf16")
    assert cosines(half.features(scenes), wanted).mean() > 0.99
    np.testing.assert_array_equal(half.features(scenes[:1]), half.features(scenes)[:1])


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_precision__is_part_of_the_name_of_an_engine(name: str, model: GraftedModel) -> None:
    names = {build(model, 32, 1, name, precision).name for precision in PRECISIONS}
    assert names == {engine_identity(model, name, precision) for precision in PRECISIONS}
    assert len(names) == 2


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto__takes_half_precision_where_it_is_fast_and_never_for_maps(
    model, pyramid, monkeypatch, fast, precision
) -> None:
    monkeypatch.setattr(engines, "computes_bf16_fast", lambda device: fast)
    assert engine_identity(model, "torch") == f"torch {torch.__version__} {precision}"
    assert engine_identity(model, "torch", "fp32").endswith("fp32")
    assert engine_identity(pyramid, "torch").endswith("fp32")
    assert engine_identity(pyramid, "torch", "bf16").endswith("bf16")


def test_openvino__that_cannot_compute_half_precision_is_refused(ground, monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")
    compile_model = openvino.Core.compile_model

    def lacking(core: object, graph: object, device: str, settings: dict[str, str]) -> object:
        return compile_model(core, graph, device, {**settings, "INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(openvino.Core, "compile_model", lacking)
    with pytest.raises(OptionsError, match=r"precision 'bf16' is not to be had.*auto, fp32"):
        choose_engine(ground.new_model(), VIEW_PX, 1, "openvino", "bf16")


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
        choose_engine(model, size_px, 4, name, "fp32").features(views)
        for name in ("torch", "openvino")
    )
    np.testing.assert_allclose(openvino_s, torch_s, atol=5e-5)


def test_openvino__that_cannot_read_a_model_says_what_to_set(model, monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")

    def unable(*_: object, **__: object) -> None:
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(openvino.frontend.FrontEnd, "convert", unable)
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
    engine = choose_engine(ground.new_model(), VIEW_PX, 2, "torch", "fp32")
    assert engine.name == f"torch {torch.__version__} fp32"


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
