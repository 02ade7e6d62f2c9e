"""Views grow over a training, in equal parts of its epochs."""

import numpy as np
import pytest
import torch
from tiny_training import batches_of, new_training, options_of

from graft.vision.contenders.ground import Ground
from graft.vision.errors import HarmonyError, OptionsError
from graft.vision.training.batches import shrunk
from graft.vision.training.forwards import with_forwards
from graft.vision.training.sizes import check_sizes, size_at

WHOLE = {"targets": np.ones(3, np.float32)}


@pytest.mark.parametrize(
    ("epochs", "wanted"),
    [
        (1, [224]),
        (2, [160, 224]),
        (3, [128, 160, 224]),
        (4, [96, 128, 160, 224]),
        (6, [96, 96, 128, 160, 160, 224]),
        (8, [96, 96, 128, 128, 160, 160, 224, 224]),
    ],
)
def test_size_at__gives_each_size_its_part_and_ends_with_the_largest(
    epochs: int, wanted: list[int]
) -> None:
    sizes = [96, 128, 160, 224]
    assert [size_at(epoch, epochs, sizes) for epoch in range(epochs)] == wanted
    assert size_at(0, epochs, None) is None


def test_shrunk__averages_areas_and_keeps_channels() -> None:
    view = np.arange(4 * 4, dtype=np.uint8).reshape(4, 4, 1) * 10
    assert shrunk(view, 4) is view
    assert shrunk(view, 2).tolist() == [[[25], [45]], [[105], [125]]]


def test_training__meets_views_of_each_size_in_turn(ground: Ground) -> None:
    training = new_training(ground, epochs=4, sizes_px=[16, 32])
    met = []
    training.model.register_forward_pre_hook(
        lambda model, taken: met.append((model.training or model.head.training, taken[0].shape[-1]))
    )
    training.run()
    trained_at = [size for trains, size in met if trains]
    assert trained_at == [16] * (len(trained_at) // 2) + [32] * (len(trained_at) // 2)
    assert {size for trains, size in met if not trains} == {32}


def test_batches__shrink_the_views_that_they_would_have_given(ground: Ground) -> None:
    batches = batches_of(ground, options_of())
    whole, small = next(batches.epoch(0)), next(batches.epoch(0, 16))
    wanted = [shrunk(view.permute(1, 2, 0).numpy(), 16) for view in whole.views]
    assert torch.equal(small.views.permute(0, 2, 3, 1), torch.from_numpy(np.stack(wanted)))


@pytest.mark.parametrize("sizes", [[32, 16], [16, 16], [16, 33], [0, 32]])
def test_check_sizes__refuses_what_does_not_rise_to_the_view(
    ground: Ground, sizes: list[int]
) -> None:
    model = ground.new_model()
    with pytest.raises(OptionsError, match=r"sizes_px must rise.*allowed: 1 to 32"):
        check_sizes(options_of(sizes_px=sizes), WHOLE, model, 32)
    check_sizes(options_of(sizes_px=[16, 32]), WHOLE, model, 32)


def test_check_sizes__refuses_truths_that_lie_at_places(ground: Ground) -> None:
    boxes, model = {**WHOLE, "boxes_xyxy": np.zeros((1, 4), np.float32)}, ground.new_model()
    with pytest.raises(OptionsError, match="needs truths of whole images; found: 16, 32"):
        check_sizes(options_of(sizes_px=[16, 32]), boxes, model, 32)
    check_sizes(options_of(), boxes, model, 32)


def test_check_sizes__refuses_a_size_that_the_backbone_cannot_take(ground: Ground) -> None:
    model = ground.new_model()
    own = model.backbone.forward

    def of_one_size(images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-1] == 32, "wants 32 px"
        found: torch.Tensor = own(images)
        return found

    said = "test_efficientnet cannot take views of 16 px; found: AssertionError: wants 32 px"
    with with_forwards({model.backbone: of_one_size}), pytest.raises(HarmonyError, match=said):
        check_sizes(options_of(sizes_px=[16, 32]), WHOLE, model, 32)
