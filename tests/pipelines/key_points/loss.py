"""Cross-entropy over every place of every heat map."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.key_points.model import REDUCTION


def loss(
    outputs: torch.Tensor, truths: Sequence[Truth], classes: ClassTable, options: LossOptions
) -> torch.Tensor:
    """Mean loss of (N, C, h, w) logits over the batch; points are in px of the view."""
    height, width = outputs.shape[2:]
    points = np.stack([truth["point_xy"] for truth in truths]) // REDUCTION
    x, y = np.clip(points, 0, [width - 1, height - 1]).astype(int).T
    kinds = np.stack([truth["targets"] for truth in truths]).argmax(axis=1)
    places = torch.from_numpy((kinds * height + y) * width + x).to(outputs.device)
    each = F.cross_entropy(
        outputs.flatten(1), places, reduction="none", label_smoothing=options.label_smoothing
    )
    weights = each.new_tensor(options.class_weights or [1.0] * len(classes))[kinds]
    return (each * weights).sum() / weights.sum()
