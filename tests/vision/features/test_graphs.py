"""Converted graphs are kept, and are the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_ground import VIEW_PX

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.contenders.ground import Ground
from graft.vision.features import GRAPHS
from graft.vision.features.engines import choose_engine
from graft.vision.features.engines import openvino as engine
from graft.vision.model import GraftedModel
from graft.vision.records import Array

pytest.importorskip("openvino")
VIEWS = np.random.default_rng(0).integers(0, 256, (5, VIEW_PX, VIEW_PX, 3), np.uint8)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each model that is converted."""
    seen: list[object] = []
    convert = engine._converted

    def noted(model: object, *more: object) -> object:
        seen.append(model)
        return convert(model, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "_converted", noted)
    return seen


def features(ground: Ground, folder: Path | None, weight: float = 0.0) -> Array:
    model = ground.new_model()
    with torch.no_grad():
        next(model.backbone.parameters()).add_(weight)
    return choose_engine(model, VIEW_PX, 4, "openvino", "fp32", folder).features(VIEWS)


def test_kept_graph__gives_the_bits_of_the_one_that_was_converted(
    ground: Ground, tmp_path: Path, converted: list[object]
) -> None:
    wanted = features(ground, None)
    np.testing.assert_array_equal(features(ground, tmp_path), wanted)
    assert len(converted) == 2
    np.testing.assert_array_equal(features(ground, tmp_path), wanted)
    assert len(converted) == 2


def test_kept_graph__is_not_that_of_other_weights(
    ground: Ground, tmp_path: Path, converted: list[object]
) -> None:
    before = features(ground, tmp_path)
    after = features(ground, tmp_path, weight=0.1)
    assert len(converted) == 2 and (before != after).any()


@pytest.mark.parametrize("name", ["resnet18", "test_vit", "test_efficientnet"])
def test_conversion__makes_no_script_of_any_part_and_leaves_the_model_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = []
    read = engine._read_traced
    monkeypatch.setattr(engine, "_read_traced", lambda *of: traces.append(of[0]) or read(*of))
    backbone = load_backbone(BackboneOptions(name=name, weights="none"))
    model = GraftedModel(backbone, torch.nn.Identity())
    learning = [number % 2 == 0 for number, _ in enumerate(model.parameters())]
    for parameter, learns in zip(model.parameters(), learning, strict=True):
        parameter.requires_grad_(learns)
    views = np.random.default_rng(1).integers(0, 256, (4, 96, 96, 3), np.uint8)
    found = choose_engine(model, 96, 4, "openvino", "fp32").features(views)
    assert [len(list(trace.modules())) for trace in traces] == [1]
    assert [parameter.requires_grad for parameter in model.parameters()] == learning
    with torch.no_grad():
        wanted = model.flat_features(torch.from_numpy(views).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_kept_graph__that_is_damaged_is_converted_again(
    ground: Ground, tmp_path: Path, converted: list[object]
) -> None:
    wanted = features(ground, tmp_path)
    (shard,) = (tmp_path / GRAPHS).glob("*.bin")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    np.testing.assert_array_equal(features(ground, tmp_path), wanted)
    assert len(converted) == 2
