"""The probe: a linear head on frozen features, its strength chosen by cross-validation.

With a softmax cross-entropy this is multinomial logistic regression; it is fitted through the
task's own loss, so that a task of several labels gets its own probe from the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from graft.vision.errors import TrainingError
from graft.vision.features.options import ProbingOptions
from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, LossOptions, Task

PLAIN = LossOptions()
FOLD_ITERATIONS = 60


@dataclass
class ProbeFit:
    """The chosen strength, how each strength did, and the fitted head's weight and bias."""

    strength: float
    fold_losses: dict[float, list[float]]
    weight: torch.Tensor
    bias: torch.Tensor
    neighbours_score: float


def fit_probe(
    task: Task,
    classes: ClassTable,
    features: Array,
    truths: Sequence[Truth],
    units: Sequence[str],
    head: nn.Module,
    options: ProbingOptions,
    seed: int = 0,
) -> ProbeFit:
    """Fit ``head`` (a linear layer; it is overwritten) on (N, D) features.

    Args:
        units: what must stay together in a fold, one name per row (patient, track, near copies).

    Raises:
        TrainingError: when the head is not linear or there are too few images.
    """
    if not isinstance(head, nn.Linear):
        raise TrainingError("the probe needs a linear head", found=type(head).__name__)
    if len(features) < 2:
        raise TrainingError("the probe needs two training images or more", found=len(features))
    scaled, centre, scale = _scale(features)
    losses = _cross_validate(task, classes, scaled, truths, units, options, seed)
    strength = _choose_strength(losses)
    fit = _Fit(task, classes, scaled, truths, torch.float64)
    weight, bias = fit.solve(strength, None, options.max_iterations)
    # The scaling is folded into the head, so that head(features) is exact.
    weight = weight / scale
    bias = bias - weight @ torch.from_numpy(centre)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    score = neighbours_score(task, classes, features, truths, units, options.neighbours)
    return ProbeFit(strength, losses, weight, bias, score)


class _Fit:
    """Full-batch L-BFGS on scaled features; strengths mean what they mean in scikit-learn."""

    def __init__(
        self,
        task: Task,
        classes: ClassTable,
        features: Array,
        truths: Sequence[Truth],
        dtype: torch.dtype,
    ) -> None:
        self._task, self._classes, self._truths = task, classes, truths
        self._features = torch.from_numpy(features).to(dtype)

    def solve(
        self,
        strength: float,
        start: tuple[torch.Tensor, torch.Tensor] | None,
        iterations: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Minimise mean loss + |W|^2 / (2 C N); the bias is not shrunk."""
        shape = (len(self._classes), self._features.shape[1])
        dtype = self._features.dtype
        weight, bias = start or (
            torch.zeros(shape, dtype=dtype),
            torch.zeros(shape[0], dtype=dtype),
        )
        weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        penalty = 1 / (2 * strength * len(self._features))
        solver = torch.optim.LBFGS(
            [weight, bias],
            max_iter=iterations,
            tolerance_grad=1e-7,
            tolerance_change=1e-10,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            solver.zero_grad()
            outputs = self._features @ weight.T + bias
            loss = self._task.loss(outputs, self._truths, self._classes, PLAIN)
            total = loss + penalty * weight.square().sum()
            total.backward()
            return total

        solver.step(closure)
        return weight.detach(), bias.detach()


def _cross_validate(
    task: Task,
    classes: ClassTable,
    features: Array,
    truths: Sequence[Truth],
    units: Sequence[str],
    options: ProbingOptions,
    seed: int,
) -> dict[float, list[float]]:
    """Held-out loss of each strength on each fold; weaker shrinkage starts where stronger ended.

    The loss over the strengths has one valley, so that nothing is tried beyond its far side.
    """
    strengths = sorted(options.strengths)
    if len(strengths) == 1:
        return {strengths[0]: []}
    folds = [
        _Fold(task, classes, features, truths, train, held)
        for train, held in _folds(truths, units, options.folds, seed)
    ]
    if not folds:
        return {strength: [] for strength in strengths}
    losses: dict[float, list[float]] = {}
    for strength in strengths:
        losses[strength] = [fold.loss(strength) for fold in folds]
        means = [float(np.mean(found)) for found in losses.values()]
        if len(means) > 2 and means[-1] > means[-2] > means[-3]:
            break
    return losses


def _choose_strength(losses: dict[float, list[float]]) -> float:
    """The least mean loss; the middle strength where nothing could be held out."""
    means = {strength: round(float(np.mean(v)), 6) for strength, v in losses.items() if v}
    if not means:
        return sorted(losses)[len(losses) // 2]
    return min(means, key=lambda strength: (means[strength], strength))


class _Fold:
    """One fold of the cross-validation, which goes on from strength to strength."""

    def __init__(
        self,
        task: Task,
        classes: ClassTable,
        features: Array,
        truths: Sequence[Truth],
        train: Array,
        held: Array,
    ) -> None:
        self._task, self._classes = task, classes
        self._fit = _Fit(task, classes, features[train], [truths[i] for i in train], torch.float32)
        self._features = torch.from_numpy(features[held]).float()
        self._truths = [truths[i] for i in held]
        self._state: tuple[torch.Tensor, torch.Tensor] | None = None

    def loss(self, strength: float) -> float:
        """On what was held out."""
        self._state = weight, bias = self._fit.solve(strength, self._state, FOLD_ITERATIONS)
        outputs = self._features @ weight.T + bias
        return float(self._task.loss(outputs, self._truths, self._classes, PLAIN))


def _folds(
    truths: Sequence[Truth], units: Sequence[str], folds: int, seed: int
) -> list[tuple[Array, Array]]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    strata = np.array([int(truth["targets"].argmax()) for truth in truths])
    count = min(folds, len(set(units)))
    if count < 2:
        return []
    smallest = min(np.bincount(strata)[np.unique(strata)])
    if smallest >= count:
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    else:
        splitter = GroupKFold(count)
    return list(splitter.split(strata, strata, np.array(units)))


def _scale(features: Array) -> tuple[Array, Array, float]:
    """Centred features, divided by one number for all.

    Not each by its own spread: how much a feature varies is part of what pre-training learned.
    """
    centred = features.astype(np.float64)
    centre = centred.mean(axis=0)
    centred -= centre
    scale = float(np.sqrt(np.square(centred).mean())) or 1.0
    return centred / scale, centre, scale


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
    import pandas as pd

    if not all("targets" in truth for truth in truths):
        return float("nan")
    targets = np.stack([truth["targets"] for truth in truths])
    unit_length = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit_length @ unit_length.T
    names = pd.factorize(np.array(units))[0]
    similarity[names[:, None] == names[None, :]] = -np.inf
    others = np.isfinite(similarity).sum(axis=1)
    if not others.all():
        return float("nan")
    k = min(neighbours, int(others.max()))
    nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    asked = np.isfinite(np.take_along_axis(similarity, nearest, axis=1))[:, :, None]
    share = (targets[nearest] * asked).sum(axis=1) / asked.sum(axis=1)
    outputs = torch.logit(torch.from_numpy(share).double(), eps=1e-6)
    table = task.predict(outputs, classes, 1.0, ())
    perfect = task.predict(torch.from_numpy((targets - 0.5) * 100.0), classes, 1.0, ())
    table["truth"] = perfect["prediction"]
    return task.new_metrics(table, classes).scores()[task.primary_metric]
