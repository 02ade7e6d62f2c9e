"""Temperature scaling (Guo et al., 2017), through the task's own loss.

Truth is smoothed as in Platt (1999): without that, a model which is right on every one of few
images would be told to be as sure as can be.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions, Task

LEAST, GREATEST = 0.05, 20.0
ENOUGH_IMAGES = 10


def fit_temperature(
    outputs: torch.Tensor, truths: Sequence[Truth], classes: ClassTable, task: Task
) -> float:
    """The temperature that outputs are divided by for the least loss.

    1.0 with few images, and where the loss of the truth as it is would grow.
    """
    if len(truths) < ENOUGH_IMAGES:
        return 1.0

    smoothed = LossOptions(label_smoothing=2 / (len(truths) + 2))

    def loss_at(logarithm: float) -> float:
        scaled = outputs.double() / float(np.exp(logarithm))
        return float(task.loss(scaled, truths, classes, smoothed))

    found = minimize_scalar(loss_at, bounds=(np.log(LEAST), np.log(GREATEST)), method="bounded")
    temperature = float(np.exp(found.x))
    plain = LossOptions()
    before = float(task.loss(outputs.double(), truths, classes, plain))
    after = float(task.loss(outputs.double() / temperature, truths, classes, plain))
    return temperature if after <= before else 1.0


def reliability_bins(
    confidence: np.ndarray, right: np.ndarray, bins: int = 10
) -> list[dict[str, float]]:
    """Mean confidence, share right and count of each bin that holds images."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[place == i].mean()),
            "right": float(right[place == i].mean()),
            "images": int((place == i).sum()),
        }
        for i in range(bins)
        if (place == i).any()
    ]
