"""The loss of one-stage detectors, whose places are nearly all background."""

from collections.abc import Sequence

import torch
from torchvision.ops import sigmoid_focal_loss

from graft.vision.task import LossOptions
from graft.vision.tasks.detection.detector import Objects, class_weights


def focal_loss(logits: torch.Tensor, class_ids: torch.Tensor, options: LossOptions) -> torch.Tensor:
    """Focal loss (Lin et al., 2017) per place that holds an object.

    Args:
        logits: (P, C) of all places that count.
        class_ids: (P,) of what is there; -1 for background.
        options: smoothing leaves ``1 - label_smoothing`` of what is there.
    """
    there = class_ids >= 0
    wanted = torch.zeros_like(logits)
    wanted[there, class_ids[there]] = 1 - options.label_smoothing
    each = sigmoid_focal_loss(logits, wanted, reduction="none")
    weights = class_weights(options, logits)
    each = each if weights is None else each * weights
    return each.sum() / there.sum().clamp(min=1)


def class_ids_at(objects: Sequence[Objects], matched: torch.Tensor) -> torch.Tensor:
    """(N, P) class of the object that each place holds; -1 where it holds none.

    ``matched``: (N, P) number of the object among those of its image; less than 0 for none.
    """
    return torch.stack(
        [
            torch.cat([ids, ids.new_tensor([-1])])[chosen.clamp(min=-1)]
            for (_, ids), chosen in zip(objects, matched, strict=True)
        ]
    )


def boxes_at(objects: Sequence[Objects], matched: torch.Tensor) -> torch.Tensor:
    """(P', 4) the boxes of the objects that places hold, image after image."""
    return torch.cat(
        [boxes[chosen[chosen >= 0]] for (boxes, _), chosen in zip(objects, matched, strict=True)]
    )
