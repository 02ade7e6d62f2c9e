"""k-NN on frozen features: a score that nothing was fitted for, beside the probe."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, Task

ROWS = 512
"""Images asked at a time: all at once would need memory by the square of their number."""


def neighbours_score(
    task: Task,
    classes: ClassTable,
    features: Array,
    truths: Sequence[Truth],
    units: Sequence[str],
    neighbours: int,
) -> float:
    """Primary metric of cosine k-NN among the training images, each without its own unit.

    NaN for truths that are no vectors, and where there is no other unit to ask.
    """
    if not all("targets" in truth for truth in truths):
        return float("nan")
    targets = np.stack([truth["targets"] for truth in truths])
    shares = _shares(features, targets, pd.factorize(np.array(units))[0], neighbours)
    if shares is None:
        return float("nan")
    outputs = torch.logit(torch.from_numpy(shares).double(), eps=1e-6)
    table = task.predict(outputs, classes, 1.0, ())
    perfect = task.predict(torch.from_numpy((targets - 0.5) * 100.0), classes, 1.0, ())
    table["truth"] = perfect["prediction"]
    return task.new_metrics(table, classes).scores()[task.primary_metric]


def _shares(features: Array, targets: Array, units: Array, neighbours: int) -> Array | None:
    """(N, C): of each image's nearest images of other units, the share that has each class.

    None where an image has no other unit to ask.
    """
    others = len(units) - np.bincount(units)[units]
    if not others.all():
        return None
    k = min(neighbours, int(others.max()))
    unit_length = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    shares = []
    for start in range(0, len(units), ROWS):
        part = slice(start, start + ROWS)
        similarity = unit_length[part] @ unit_length.T
        similarity[units[part, None] == units[None, :]] = -np.inf
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        asked = np.isfinite(np.take_along_axis(similarity, nearest, axis=1))[:, :, None]
        shares.append((targets[nearest] * asked).sum(axis=1) / asked.sum(axis=1))
    return np.concatenate(shares)
