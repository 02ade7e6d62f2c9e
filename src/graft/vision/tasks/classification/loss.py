"""Cross-entropy for one class per image, binary cross-entropy for several."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions


def loss(
    outputs: torch.Tensor, truths: Sequence[Truth], classes: ClassTable, options: LossOptions
) -> torch.Tensor:
    """Mean loss of (N, C) logits over the batch.

    Class weights weigh each image by its classes and are normalised over the batch, so that the
    size of the loss does not depend on them.
    """
    targets = torch.from_numpy(np.stack([truth["targets"] for truth in truths]))
    # A GPU's backward pass is launched while its forward pass runs: nothing here waits for it.
    targets = targets.to(outputs.device, outputs.dtype, non_blocking=True)
    weights = torch.ones(targets.shape[1], device=outputs.device, dtype=outputs.dtype)
    if options.class_weights is not None:
        weights = torch.tensor(options.class_weights, device=outputs.device, dtype=outputs.dtype)
    if classes.exclusive:
        return _exclusive(outputs, targets, weights, options.label_smoothing)
    smoothed = targets * (1 - options.label_smoothing) + options.label_smoothing / 2
    each = F.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
    factor = 1 + targets * (weights - 1)
    return (each * factor).sum() / factor.sum()


def _exclusive(
    outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, smoothing: float
) -> torch.Tensor:
    smoothed = targets * (1 - smoothing) + smoothing / targets.shape[1]
    each = -(smoothed * F.log_softmax(outputs, dim=1)).sum(dim=1)
    factor = targets @ weights
    return (each * factor).sum() / factor.sum()
