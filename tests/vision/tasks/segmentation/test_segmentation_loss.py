from importlib import import_module

import numpy as np
import pytest
import torch
from drawn_masks import CLASSES, IGNORED
from torch.nn import functional as F

from graft.vision.records import Array, Truth
from graft.vision.task import LossOptions
from graft.vision.tasks.segmentation.loss import PLAIN, loss
from graft.vision.tasks.segmentation.model import TrainingLogits
from graft.vision.tasks.segmentation.options import TaskOptions

RNG = np.random.default_rng(0)


def truths(*shapes: tuple[int, int]) -> list[Truth]:
    masks = [RNG.choice([0, 1, 2, IGNORED], shape).astype(np.uint8) for shape in shapes]
    return [{"targets": np.ones(3, np.float32), "mask": mask} for mask in masks]


def logits(count: int, side: int = 4) -> torch.Tensor:
    made = torch.from_numpy(RNG.normal(size=(count, 3, side, side))).float()
    return made.requires_grad_()


def said_by_hand(
    outputs: torch.Tensor, masks: list[Array], weights: list[float] | None = None
) -> float:
    total, weight = 0.0, 0.0
    for output, mask in zip(outputs.detach(), masks, strict=True):
        enlarged = F.interpolate(output[None], mask.shape, mode="bilinear", align_corners=False)[0]
        logs = enlarged.log_softmax(0).numpy()
        for y, x in np.argwhere(mask != IGNORED):
            number = mask[y, x]
            share = weights[number] if weights else 1.0
            total -= share * float(logs[number, y, x])
            weight += share
    return total / weight


@pytest.mark.parametrize("weights", [None, [1.0, 4.0, 0.5]])
@pytest.mark.parametrize("shapes", [[(8, 8)] * 3, [(5, 9), (5, 9), (16, 16)], [(1, 1), (3, 2)]])
def test_loss__is_the_mean_over_judged_pixels(
    shapes: list[tuple[int, int]], weights: list[float] | None
) -> None:
    made, outputs = truths(*shapes), logits(len(shapes))
    options = LossOptions(class_weights=tuple(weights) if weights else None)
    wanted = said_by_hand(outputs, [truth["mask"] for truth in made], weights)
    for said in (outputs, TrainingLogits(outputs, PLAIN)):
        assert float(loss(said, made, CLASSES, options).detach()) == pytest.approx(wanted, rel=1e-5)


def test_loss__does_not_depend_on_how_many_images_are_judged_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, outputs = truths(*[(8, 8)] * 5), logits(5)
    said = TrainingLogits(outputs, TaskOptions(rarity_power=0.0, dice_share=0.5))
    whole = float(loss(said, made, CLASSES, LossOptions()).detach())
    module = import_module("graft.vision.tasks.segmentation.loss")
    monkeypatch.setattr(module, "CHUNK_VALUES", 2 * 3 * 64)
    assert float(loss(said, made, CLASSES, LossOptions()).detach()) == pytest.approx(
        whole, rel=1e-6
    )


@pytest.mark.parametrize("dice_share", [0.0, 0.5, 1.0])
def test_loss__is_nothing_with_gradients_where_no_pixel_is_judged(dice_share: float) -> None:
    outputs = logits(2)
    truth = {"targets": np.zeros(3, np.float32), "mask": np.full((8, 8), IGNORED, np.uint8)}
    found = loss(
        TrainingLogits(outputs, TaskOptions(rarity_power=0.0, dice_share=dice_share)),
        [truth] * 2,
        CLASSES,
        LossOptions(),
    )
    assert float(found.detach()) == 0
    found.backward()
    assert outputs.grad is not None
    assert (outputs.grad == 0).all()


@pytest.mark.parametrize("dice_share", [0.0, 0.5, 1.0])
def test_loss__is_finite_and_moves_towards_the_truth(dice_share: float) -> None:
    outputs = logits(2)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 1
    truth = {"targets": np.array([1, 1, 0], np.float32), "mask": mask}
    said = loss(
        TrainingLogits(outputs, TaskOptions(rarity_power=0.0, dice_share=dice_share)),
        [truth] * 2,
        CLASSES,
        LossOptions(),
    )
    said.backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    better = outputs - 0.1 * outputs.grad / outputs.grad.abs().max()
    found = loss(
        TrainingLogits(better, TaskOptions(rarity_power=0.0, dice_share=dice_share)),
        [truth] * 2,
        CLASSES,
        LossOptions(),
    )
    assert float(found.detach()) < float(said.detach())


def test_loss__of_dice_is_zero_when_all_is_right_and_one_when_all_is_wrong() -> None:
    mask = RNG.choice([0, 1, 2], (4, 4)).astype(np.uint8)
    truth = {"targets": np.ones(3, np.float32), "mask": mask}
    for shift, wanted in ((0, 0.0), (1, 1.0)):
        numbers = torch.from_numpy((mask.astype(int) + shift) % 3)
        outputs = 50 * F.one_hot(numbers, 3).permute(2, 0, 1)[None].float()
        found = loss(
            TrainingLogits(outputs, TaskOptions(rarity_power=0.0, dice_share=1.0)),
            [truth],
            CLASSES,
            LossOptions(),
        )
        assert float(found.detach()) == pytest.approx(wanted, abs=1e-6)


def test_loss__in_evaluation_is_the_cross_entropy_alone() -> None:
    made, outputs = truths((8, 8)), logits(1)
    plain = loss(outputs, made, CLASSES, LossOptions()).detach()
    assert float(plain) == float(
        loss(TrainingLogits(outputs, PLAIN), made, CLASSES, LossOptions()).detach()
    )
    assert float(plain) != float(
        loss(
            TrainingLogits(outputs, TaskOptions(rarity_power=0.0, dice_share=0.5)),
            made,
            CLASSES,
            LossOptions(),
        ).detach()
    )


def test_loss__takes_double_precision_and_label_smoothing() -> None:
    made, outputs = truths((8, 8)), logits(1)
    found = loss(outputs.double(), made, CLASSES, LossOptions(label_smoothing=0.1))
    assert found.dtype == torch.float64
    assert torch.isfinite(found)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_loss__weighs_classes_by_how_rare_they_are_in_the_batch(power: float) -> None:
    made, outputs = truths((8, 8), (8, 8)), logits(2)
    masks = [truth["mask"] for truth in made]
    masks[0][masks[0] == 2] = 0
    counts = np.bincount(np.concatenate(masks).ravel(), minlength=256)[:3]
    weights = [float((count / counts.sum()) ** -power) for count in counts]
    said = TrainingLogits(outputs, TaskOptions(rarity_power=power))
    wanted = said_by_hand(outputs, masks, weights)
    found = loss(said, made, CLASSES, LossOptions()).detach()
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert float(loss(outputs, made, CLASSES, LossOptions()).detach()) == pytest.approx(
        said_by_hand(outputs, masks), rel=1e-5
    )


def test_loss__counts_every_class_alike_at_full_rarity_power() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[0, 0] = 1
    outputs = torch.zeros(1, 3, 8, 8)
    outputs[0, 0] = 4  # wrong in the one pixel of class 1
    truth = {"targets": np.array([1, 1, 0], np.float32), "mask": mask}
    said = TrainingLogits(outputs, TaskOptions(rarity_power=1.0))
    right, wrong = (float(-F.log_softmax(outputs[0, :, 0, 0], 0)[number]) for number in (0, 1))
    found = float(loss(said, [truth], CLASSES, LossOptions()))
    assert found == pytest.approx((right + wrong) / 2, rel=1e-5)
