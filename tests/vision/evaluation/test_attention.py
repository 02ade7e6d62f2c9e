"""Class activation looks at the model and leaves it as it was."""

import numpy as np
import pytest
import torch

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import digest_state, load_backbone
from graft.vision.evaluation.attention import class_activation, overlay
from graft.vision.model import GraftedModel
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task

TASK, TASK_OPTIONS = choose_task({"name": "classification"})
SIDE_PX = 160


def new_model(name: str) -> GraftedModel:
    backbone = load_backbone(BackboneOptions(name=name, weights="none"))
    return TASK.build_model(backbone, ClassTable(names=("a", "b")), TASK_OPTIONS)


@pytest.fixture
def view() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_class_activation__is_a_map_of_the_view(name: str, view: np.ndarray) -> None:
    model = new_model(name)
    torch.nn.init.uniform_(model.head.weight, 1, 2)  # every feature speaks for every class
    heat = class_activation(model, view, 1)
    assert heat.shape == (SIDE_PX, SIDE_PX)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)


def test_class_activation__is_empty_where_nothing_speaks_for_the_class(view: np.ndarray) -> None:
    model = new_model("test_efficientnet")
    torch.nn.init.zeros_(model.head.weight)
    assert class_activation(model, view, 0).max() == 0


def test_class_activation__leaves_the_model_as_it_was(view: np.ndarray) -> None:
    model = new_model("test_efficientnet")
    before = digest_state(dict(model.state_dict()))
    class_activation(model, view, 0)
    assert digest_state(dict(model.state_dict())) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_class_activation__finds_the_place_that_speaks_for_a_class() -> None:
    model = new_model("test_resnet")
    for parameter in model.parameters():  # brightness passes through, and speaks for class 1
        if parameter.dim() == 4:
            torch.nn.init.constant_(parameter, 1.0 / parameter[0].numel())
    with torch.no_grad():
        model.head.weight.fill_(0)
        model.head.weight[1].fill_(1.0)
    view = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    view[:60, :60] = 255
    heat = class_activation(model, view, 1)
    assert heat[:60, :60].mean() > 3 * heat[100:, 100:].mean()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_overlay__shows_any_view_in_colour(channels: int) -> None:
    view = np.full((8, 8, channels), 128, np.uint8)
    shown = overlay(view, np.linspace(0, 1, 64).reshape(8, 8))
    assert (shown.shape, shown.dtype) == ((8, 8, 3), np.uint8)
    assert shown[-1, -1].sum() > shown[0, 0].sum()
