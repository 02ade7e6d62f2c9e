"""What a linear discriminant says of rows that it was not fitted on.

A linear probe that is solved from sums over its rows: those of a fold are subtracted from those of
all, so that many rows and folds cost two passes. Method: Fisher's linear discriminant with a
shrunken covariance, Friedman, Regularized discriminant analysis (1989).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from graft.vision.records import Array

SHRINKAGES = (0.1, 0.3, 0.6, 0.9)
"""How much of the covariance is that of independent features; the least held-out loss tells."""
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""What outputs are divided by, chosen likewise: features are less normal than the method holds, so
that it is too sure."""
FEWEST = 5
"""Rows of a class that must be seen for anything to be said of it."""
ROWS = 4096
"""Rows that are held in double precision at a time."""


@dataclass(frozen=True)
class Judged:
    """``losses`` (N,) of the stated class; NaN where nothing can be said of a row.

    ``likeliest`` (N,): the class that is found likeliest in its place.
    """

    losses: Array
    likeliest: Array


def judge_held_out(
    vectors: Array, class_ids: Array, units: Array, classes: int, folds: int
) -> Judged:
    """Judge each row by a discriminant of the other folds.

    Nothing can be said of a row where fewer than `FEWEST` others state its class, or where these
    know no other class.

    Args:
        vectors: (N, D), of any floating type.
        class_ids: (N,) in 0..classes - 1.
        units: (N,) what must stay together in a fold.
    """
    judged = Judged(np.full(len(vectors), np.nan), np.zeros(len(vectors), int))
    parts = _folds(units, folds)
    scale = _Scale.of(vectors) if parts else None
    if scale is None:
        return judged
    sums = [_Sums.over(vectors, class_ids, classes, rows, scale) for rows in parts]
    losses = np.empty((len(SHRINKAGES), len(TEMPERATURES), len(vectors)))
    likeliest = np.empty((len(SHRINKAGES), len(vectors)), int)
    for held, rows in zip(sums, parts, strict=True):
        known = _Sums.of_all(sums).without(held)
        for number, shrinkage in enumerate(SHRINKAGES):
            weight, bias = known.head(shrinkage)
            for some, places in scale.blocks(vectors, rows):
                outputs = places @ weight + bias
                losses[number][:, some] = _losses(outputs, class_ids[some])
                likeliest[number, some] = outputs.argmax(axis=1)
    said = np.isfinite(losses[0, 0])
    if not said.any():
        return judged
    means = losses[:, :, said].mean(axis=2)
    shrunk, cooled = np.unravel_index(means.argmin(), means.shape)
    return Judged(np.where(said, losses[shrunk, cooled], np.nan), likeliest[shrunk])


def _folds(units: Array, folds: int) -> list[Array]:
    """The row numbers of each fold; none where there is but one unit."""
    from sklearn.model_selection import GroupKFold

    count = min(folds, len(np.unique(units)))
    if count < 2:
        return []
    return [held for _, held in GroupKFold(count).split(units, groups=units)]


def _losses(outputs: Array, class_ids: Array) -> Array:
    """(temperatures, M) of (M, C) outputs; not finite where the stated class is unknown."""
    if np.isfinite(outputs[:1]).sum() < 2:  # an unknown class is so in all rows of a fold
        return np.full((len(TEMPERATURES), len(outputs)), np.inf)
    below = outputs - outputs.max(axis=1, keepdims=True)
    stated = below[np.arange(len(below)), class_ids]
    return np.stack([np.log(np.exp(below / t).sum(axis=1)) - stated / t for t in TEMPERATURES])


@dataclass(frozen=True)
class _Scale:
    """Mean and spread of each feature, over all rows: what is held out tells no class by them."""

    mean: Array
    spread: Array

    @classmethod
    def of(cls, vectors: Array) -> Self:
        count, mean, square = len(vectors), 0.0, 0.0
        for start in range(0, count, ROWS):
            mean = mean + vectors[start : start + ROWS].sum(axis=0, dtype=np.float64) / count
        for start in range(0, count, ROWS):
            off = vectors[start : start + ROWS].astype(np.float64) - mean
            square = square + np.square(off).sum(axis=0) / count
        spread = np.sqrt(square)
        return cls(np.asarray(mean), np.where(spread > 0, spread, 1.0))

    def blocks(self, vectors: Array, rows: Array) -> Iterator[tuple[Array, Array]]:
        """Row numbers and their scaled features in double precision, some at a time."""
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            yield some, (vectors[some].astype(np.float64) - self.mean) / self.spread


@dataclass(frozen=True)
class _Sums:
    """``counts`` (C,) and ``totals`` (C, D) by class, ``products`` (D, D) of all."""

    counts: Array
    totals: Array
    products: Array

    @classmethod
    def over(
        cls, vectors: Array, class_ids: Array, classes: int, rows: Array, scale: _Scale
    ) -> Self:
        width = vectors.shape[1]
        totals, products = np.zeros((classes, width)), np.zeros((width, width))
        for some, places in scale.blocks(vectors, rows):
            np.add.at(totals, class_ids[some], places)
            products += places.T @ places
        return cls(np.bincount(class_ids[rows], minlength=classes), totals, products)

    @classmethod
    def of_all(cls, parts: "list[_Sums]") -> "_Sums":
        return _Sums(
            np.sum([part.counts for part in parts], axis=0),
            np.sum([part.totals for part in parts], axis=0),
            np.sum([part.products for part in parts], axis=0),
        )

    def without(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.counts - other.counts,
            self.totals - other.totals,
            self.products - other.products,
        )

    def head(self, shrinkage: float) -> tuple[Array, Array]:
        """Weight (D, C) and bias (C,); the bias of a class that is not known is -inf."""
        rows = max(1, int(self.counts.sum()))
        there, known = np.maximum(self.counts, 1), self.counts >= FEWEST
        means = self.totals / there[:, None]
        within = (self.products - means.T @ self.totals) / rows
        # Where all features are constant nothing is left within; the least keeps it solvable.
        even = max(np.trace(within) / len(within), 1e-6) * np.eye(len(within))
        weight = np.linalg.solve((1 - shrinkage) * within + shrinkage * even, means.T)
        bias = np.log(there / rows) - (means * weight.T).sum(axis=1) / 2
        return weight, np.where(known, bias, -np.inf)
