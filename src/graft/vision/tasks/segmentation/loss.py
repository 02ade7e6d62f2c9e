"""Cross-entropy over judged pixels, mixed with Dice where the task's options say so."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from graft.vision.data.masks import IGNORED
from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.segmentation.model import TrainingLogits
from graft.vision.tasks.segmentation.options import TaskOptions

CHUNK_VALUES = 1 << 23
"""Enlarged logits that are held at once."""
PLAIN = TaskOptions(rarity_power=0.0, dice_share=0.0)


def loss(
    outputs: torch.Tensor | TrainingLogits,
    truths: Sequence[Truth],
    classes: ClassTable,
    options: LossOptions,
) -> torch.Tensor:
    """Mean loss of (N, C, h, w) logits over the judged pixels of the batch, at the masks' size.

    Pixels weigh by their class, normalised over the batch. Of a model in evaluation mode, where
    temperatures are fitted by it, the loss is plain cross-entropy: neither Dice nor what favours
    rare classes tells honest probabilities. 0, with gradients, where no pixel is judged.
    """
    logits, task_options = outputs, PLAIN
    if isinstance(outputs, TrainingLogits):
        logits, task_options = outputs.logits, outputs.options
    assert isinstance(logits, torch.Tensor)
    weights = logits.new_tensor(options.class_weights or [1.0] * len(classes))
    weights = weights * logits.new_tensor(_rarity(truths, len(classes), task_options.rarity_power))
    entropy, judged = logits.sum() * 0, logits.new_zeros(())
    dice_parts = logits.new_zeros(3, len(classes))
    for enlarged, mask in _chunks(logits, truths):
        entropy = entropy + F.cross_entropy(
            enlarged,
            mask,
            weights,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=options.label_smoothing,
        )
        judged = judged + weights[mask[mask != IGNORED]].sum()
        if task_options.dice_share:
            dice_parts = dice_parts + _dice_parts(enlarged, mask)
    mean = entropy / judged.clamp(min=torch.finfo(judged.dtype).tiny)
    share = task_options.dice_share
    return (1 - share) * mean + share * _dice_loss(dice_parts) if share else mean


def _rarity(truths: Sequence[Truth], classes: int, power: float) -> list[float]:
    """A weight per class from the batch's own pixels; 1 for a class that it lacks."""
    if not power:
        return [1.0] * classes
    pixels = np.concatenate([truth["mask"].ravel() for truth in truths])
    counts = np.bincount(pixels, minlength=256)[:classes]
    shares = counts / max(1, counts.sum())
    return [float(share**-power) if share else 1.0 for share in shares]


def _chunks(
    logits: torch.Tensor, truths: Sequence[Truth]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits enlarged to their masks, and the masks, for neighbours of one size at a time."""
    start = 0
    while start < len(truths):
        first = truths[start]["mask"]
        masks = [first]
        most = max(1, CHUNK_VALUES // (logits.shape[1] * max(1, first.size)))
        while len(masks) < most and start + len(masks) < len(truths):
            following = truths[start + len(masks)]["mask"]
            if following.shape != first.shape:
                break
            masks.append(following)
        part = logits[start : start + len(masks)]
        enlarged = F.interpolate(part, size=first.shape, mode="bilinear", align_corners=False)
        yield enlarged, torch.from_numpy(np.stack(masks)).to(logits.device, torch.int64)
        start += len(masks)


def _dice_parts(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(3, C): of each class what is said and true, what is said, and what is true, in pixels."""
    judged = mask != IGNORED
    said = logits.softmax(1).movedim(1, -1)[judged]
    true = F.one_hot(mask[judged], logits.shape[1]).to(said.dtype)
    return torch.stack([(said * true).sum(0), said.sum(0), true.sum(0)])


def _dice_loss(parts: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice (Milletari et al., 2016), averaged over the classes that are there."""
    both, said, true = parts
    there = true > 0
    if not there.any():
        return both.sum() * 0
    return 1 - (2 * both[there] / (said + true)[there]).mean()
