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
from graft.vision.features.neighbours import neighbours_score
from graft.vision.features.options import ProbingOptions
from graft.vision.features.regression import Axes, Head, Regression
from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, Task

FOLD_STEPS = 20
FOLD_TOLERANCE = 3e-4
"""Of the objective. Strengths lie far apart: rough losses tell which is best."""
TOLERANCE = 1e-8


@dataclass
class HeldOut:
    """What heads say of the rows that they were not fitted on, each row once.

    ``losses`` (N,) of the stated truth; ``outputs`` (N, C).
    """

    losses: Array
    outputs: Array


@dataclass
class ProbeFit:
    """The chosen strength, how each strength did, and the fitted head's weight and bias.

    ``held_out`` is None where nothing could be held out.
    """

    strength: float
    fold_losses: dict[float, list[float]]
    weight: torch.Tensor
    bias: torch.Tensor
    neighbours_score: float
    held_out: HeldOut | None = None


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
        TrainingError: when the head is not linear, there are too few images, or features are not
            finite.
    """
    _check(features, head)
    assert isinstance(head, nn.Linear)
    axes = Axes.of(features)
    losses, folds = _cross_validate(task, classes, axes.places, truths, units, options, seed)
    strength = _choose_strength(losses)
    regression = Regression(task, classes, axes.places, truths)
    weight, bias = axes.fold_in(
        regression.solve(strength, None, options.max_iterations, TOLERANCE, torch.float64)
    )
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    score = neighbours_score(task, classes, features, truths, units, options.neighbours)
    held_out = _held_out(folds, strength, len(truths)) if folds else None
    return ProbeFit(strength, losses, weight, bias, score, held_out)


def _check(features: Array, head: nn.Module) -> None:
    if not isinstance(head, nn.Linear):
        raise TrainingError("the probe needs a linear head", found=type(head).__name__)
    if len(features) < 2:
        raise TrainingError("the probe needs two training images or more", found=len(features))
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise TrainingError(
            "frozen features are not finite",
            found=f"in {int((~finite).sum())} of {len(features)} images",
            mend="check the weights and the normalisation of the backbone",
        )


def _cross_validate(
    task: Task,
    classes: ClassTable,
    places: Array,
    truths: Sequence[Truth],
    units: Sequence[str],
    options: ProbingOptions,
    seed: int,
) -> tuple[dict[float, list[float]], list["_Fold"]]:
    """Held-out loss of each strength on each fold, and the folds.

    The loss over the strengths has one valley: once every fold is past it, no more are tried.
    """
    strengths = sorted(options.strengths)
    folds = [
        _Fold(task, classes, places, truths, train, held)
        for train, held in (
            _folds(truths, units, options.folds, seed) if len(strengths) > 1 else []
        )
    ]
    if not folds:
        return {strength: [] for strength in strengths}, []
    losses: dict[float, list[float]] = {}
    for strength in strengths:
        before = list(losses.values())[-1:]
        losses[strength] = [fold.loss(strength) for fold in folds]
        if before and all(np.array(losses[strength]) > before[0]):
            break
    return losses, folds


def _held_out(folds: list["_Fold"], strength: float, count: int) -> HeldOut:
    rows = np.concatenate([fold.held for fold in folds])
    said = [fold.said(strength) for fold in folds]
    losses, outputs = (np.concatenate(parts) for parts in zip(*said, strict=True))
    order = np.argsort(rows)
    assert len(order) == count
    return HeldOut(losses[order], outputs[order])


def _choose_strength(losses: dict[float, list[float]]) -> float:
    """The least mean loss; the middle strength where nothing could be held out."""
    means = {strength: round(float(np.mean(v)), 6) for strength, v in losses.items() if v}
    if not means:
        return sorted(losses)[len(losses) // 2]
    return min(means, key=lambda strength: (means[strength], strength))


class _Fold:
    """One fold of the cross-validation; weaker shrinkage starts where stronger ended."""

    def __init__(
        self,
        task: Task,
        classes: ClassTable,
        places: Array,
        truths: Sequence[Truth],
        train: Array,
        held: Array,
    ) -> None:
        self._train, self._held = (
            Regression(task, classes, places[rows], [truths[i] for i in rows])
            for rows in (train, held)
        )
        self.held = held
        self._heads: dict[float, Head] = {}

    def loss(self, strength: float) -> float:
        """On what was held out."""
        before = list(self._heads.values())[-1] if self._heads else None
        head = self._train.solve(strength, before, FOLD_STEPS, FOLD_TOLERANCE, torch.float32)
        self._heads[strength] = head
        return self._held.loss(head)

    def said(self, strength: float) -> tuple[Array, Array]:
        """Losses and outputs of what was held out, by the head of a strength that was tried."""
        head = self._heads[strength]
        return self._held.row_losses(head), self._held.outputs(head).numpy()


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
