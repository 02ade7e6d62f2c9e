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
ENOUGH_SCORES = 100
SMALLEST = 1e-6


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


def fit_score_temperature(scores: np.ndarray, right: np.ndarray) -> float:
    """The temperature that the log-odds of scores are divided by for the least log-loss.

    For tasks whose outputs tell no loss, as of detectors, whose scores say how likely a box is
    right. 1.0 with few scores.

    Args:
        scores: (M,) in 0..1.
        right: (M,) 0 or 1.
    """
    if len(scores) < ENOUGH_SCORES:
        return 1.0
    clipped = np.clip(scores, SMALLEST, 1 - SMALLEST)
    odds, hits = np.log(clipped) - np.log1p(-clipped), right.sum()
    smoothed = np.where(right > 0, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss_at(logarithm: float) -> float:
        scaled = odds / np.exp(logarithm)
        return float(np.mean(np.logaddexp(0, scaled) - smoothed * scaled))

    found = minimize_scalar(loss_at, bounds=(np.log(LEAST), np.log(GREATEST)), method="bounded")
    return float(np.exp(found.x)) if found.fun <= loss_at(0.0) else 1.0


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
