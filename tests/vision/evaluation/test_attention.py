"""Class activation looks at the model and leaves it as it was."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import digest_state, load_backbone
from graft.vision.evaluation.attention import class_activation, overlay, stretched
from graft.vision.model import GraftedModel
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task

TASK, TASK_OPTIONS = choose_task({"name": "classification"})
SIDE_PX = 160


def new_model(name: str) -> GraftedModel:
    backbone = load_backbone(BackboneOptions(name=name, weights="none"))
    return TASK.build_model(backbone, ClassTable(names=("a", "b")), TASK_OPTIONS)


def output(number: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda outputs: outputs[0, number]


@pytest.fixture
def view() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_class_activation__is_a_map_of_the_view(name: str, view: np.ndarray) -> None:
    model = new_model(name)
    torch.nn.init.uniform_(model.head.weight, 1, 2)  # every feature speaks for every class
    heat = stretched(class_activation(model, view, output(1)))
    assert heat.shape == (SIDE_PX, SIDE_PX)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)


def test_class_activation__is_empty_where_nothing_speaks_for_the_class(view: np.ndarray) -> None:
    model = new_model("test_efficientnet")
    torch.nn.init.zeros_(model.head.weight)
    assert class_activation(model, view, output(0)).max() == 0


def test_class_activation__leaves_the_model_as_it_was(view: np.ndarray) -> None:
    model = new_model("test_efficientnet")
    before = digest_state(dict(model.state_dict()))
    class_activation(model, view, output(0))
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
    heat = stretched(class_activation(model, view, output(1)))
    assert heat[:60, :60].mean() > 3 * heat[100:, 100:].mean()


class LastMaps(torch.nn.Module):
    """What a dense head does: an output for each place of the coarsest maps."""

    def forward(self, maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return maps[-1].square().sum(dim=1)


def pyramid_model() -> GraftedModel:
    backbone = load_backbone(BackboneOptions(name="test_resnet", weights="none"))
    return GraftedModel(backbone.pyramid((4, 8, 16)), LastMaps())


@pytest.mark.parametrize(("row", "column"), [(1, 1), (8, 3)])
def test_class_activation__of_an_output_that_is_a_place_lies_there(
    view: np.ndarray, row: int, column: int
) -> None:
    heat = class_activation(pyramid_model(), view, lambda outputs: outputs[0, row, column])
    assert heat.shape == view.shape[:2]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(y / 16 - row - 0.5) < 1
    assert abs(x / 16 - column - 0.5) < 1


def test_class_activation__is_empty_where_outputs_stand_on_nothing(view: np.ndarray) -> None:
    for model in (new_model("test_efficientnet"), pyramid_model()):
        assert class_activation(model, view, lambda outputs: torch.zeros(())).max() == 0
    assert stretched(np.zeros((4, 4))).max() == 0


def test_class_activation__without_a_question_tells_how_strong_features_are(
    view: np.ndarray,
) -> None:
    heat = class_activation(pyramid_model(), view, None)
    assert heat.shape == view.shape[:2]
    assert heat.max() > 0


def test_overlay__leaves_the_picture_where_there_is_no_heat() -> None:
    pixels = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    heat = np.zeros((4, 4))
    heat[:, 2:] = 1
    shown = overlay(pixels, heat)
    assert (shown[:, :2] == 20).all()
    assert (shown[:, 2:, 0] > 100).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_overlay__shows_any_view_in_colour(channels: int) -> None:
    view = np.full((8, 8, channels), 128, np.uint8)
    shown = overlay(view, np.linspace(0, 1, 64).reshape(8, 8))
    assert (shown.shape, shown.dtype) == ((8, 8, 3), np.uint8)
    assert shown[-1, -1].sum() > shown[0, 0].sum()
