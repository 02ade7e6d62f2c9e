"""Scores of classification; each checked against scikit-learn in the tests."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.data.truths import SEPARATOR
from graft.vision.records import Array
from graft.vision.task import ClassTable, Evidence, Figure, Shown

CALIBRATION_BINS = 15
WORDS = {
    "accuracy": "The share of images that are given exactly the right classes.",
    "macro_f1": "F1 of each class (precision and recall alike), as a mean over classes: rare ones "
    "count as much as common ones.",
    "balanced_accuracy": "Recall of each class, as a mean over classes.",
    "auroc": "The chance that an image of a class gets a higher score for it than another image, "
    "as a mean over classes. 0.5 is guessing.",
    "log_loss": "How little probability the right classes were given; lower is better.",
    "calibration_error": "How far confidence lies from the share that is right, on average; lower "
    "is better.",
}


class ClassificationMetrics:
    """Scores over any resample of a prediction table's rows.

    A resample is turned into a weight per row, so that what is costly (sorting for AUROC) is done
    once per table.
    """

    def __init__(self, table: pd.DataFrame, classes: ClassTable) -> None:
        self._classes = classes
        self._scores = table[[f"prob_{name}" for name in classes.names]].to_numpy(float)
        self._truth = indicator(table["truth"], classes)
        self._predicted = indicator(table["prediction"], classes)
        self._words, self._truth_words = list(table["prediction"]), list(table["truth"])
        self._right = (self._truth == self._predicted).all(axis=1).astype(float)
        self._confidence = table["score"].to_numpy(float)
        self._order = np.argsort(self._scores, axis=0, kind="stable")
        self._ties = _tie_groups(np.take_along_axis(self._scores, self._order, axis=0))

    def scores(self, rows: Array | None = None) -> dict[str, float]:
        """accuracy first; ``*_error`` and ``log_loss`` are better when lower.

        For multi-label, accuracy is the share of images with every label right.
        """
        weights = np.ones(len(self._right))
        if rows is not None:
            weights = np.bincount(rows, minlength=len(self._right)).astype(float)
        support, _, recall, f1 = self._by_class(weights)
        present = support > 0
        return {
            "accuracy": _mean(self._right, weights),
            "macro_f1": _mean_over(f1, present),
            "balanced_accuracy": _mean_over(recall, present),
            "auroc": _mean_over(self._auroc(weights), present),
            "log_loss": self._log_loss(weights),
            "calibration_error": self._calibration_error(weights),
        }

    def per_class(self) -> pd.DataFrame:
        """Per class: images, precision, recall, F1, AUROC; NaN where undefined."""
        weights = np.ones(len(self._right))
        support, precision, recall, f1 = self._by_class(weights)
        absent = support == 0
        columns = {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "auroc": self._auroc(weights),
        }
        table = pd.DataFrame({"class": self._classes.names, "images": support.astype(int)})
        for name, values in columns.items():
            table[name] = np.where(absent, np.nan, values)
        return table

    def confusion(self) -> pd.DataFrame:
        """Counts of truth (rows) by prediction (columns).

        For multi-label: an image counts where truth and prediction share a class, and its missed
        classes count under the classes invented in their place.
        """
        if self._classes.exclusive:
            counts = self._truth.T @ self._predicted
        else:
            missed = self._truth * (1 - self._predicted)
            invented = self._predicted * (1 - self._truth)
            counts = missed.T @ invented
            np.fill_diagonal(counts, (self._truth * self._predicted).sum(axis=0))
        names = list(self._classes.names)
        return pd.DataFrame(counts.astype(int), index=names, columns=names)

    def image_scores(self) -> Array:
        """1 where every label is right, else 0."""
        return self._right

    def reliability(self) -> tuple[Array, Array]:
        """The score of each prediction, and whether it was right."""
        return self._confidence, self._right

    def show(self, row: int, pixels: Array) -> Shown:
        """The picture alone: what was said of it stands in the caption."""
        said = f"{self._words[row]} ({self._confidence[row]:.2f})"
        if self._right[row]:
            return Shown(pixels, said)
        return Shown(pixels, f"{self._truth_words[row]} taken for {said}")

    def figures(self) -> Sequence[Figure]:
        """None beside what every task has."""
        return ()

    def words(self) -> Mapping[str, str]:
        """A line on each score."""
        return WORDS

    def legend(self) -> Mapping[str, tuple[int, int, int]]:
        """Nothing is drawn on pictures."""
        return {}

    def evidence(self, row: int) -> Evidence:
        """The class that is said first; the likeliest where none is said."""
        number = int(self._scores[row].argmax())

        def speaks(outputs: torch.Tensor) -> torch.Tensor:
            return outputs[0, number]

        return Evidence(self._classes.names[number], speaks)

    def _by_class(self, weights: Array) -> tuple[Array, Array, Array, Array]:
        hits = weights @ (self._truth * self._predicted)
        support, named = weights @ self._truth, weights @ self._predicted
        recall = _ratio(hits, support)
        f1 = _ratio(2 * hits, support + named)
        # A class that is never named has no precision; scikit-learn calls it 0, and so does F1.
        precision = np.where(named > 0, _ratio(hits, named), 0.0)
        return support, precision, recall, f1

    def _auroc(self, weights: Array) -> Array:
        """Mann-Whitney with ties counted half, for each class against the rest."""
        ordered = weights[self._order]
        positive = ordered * np.take_along_axis(self._truth, self._order, axis=0)
        negative = ordered - positive
        below = np.cumsum(negative, axis=0) - negative
        result = np.full(self._truth.shape[1], np.nan)
        for i in range(self._truth.shape[1]):
            p, n, ties = positive[:, i], negative[:, i], self._ties[:, i]
            total = p.sum() * n.sum()
            if total == 0:
                continue
            starts = np.unique(ties)
            tied_negative = np.add.reduceat(n, starts)
            tied_positive = np.add.reduceat(p, starts)
            wins = (tied_positive * (below[starts, i] + tied_negative / 2)).sum()
            result[i] = wins / total
        return result

    def _log_loss(self, weights: Array) -> float:
        clipped = np.clip(self._scores, 1e-15, 1 - 1e-15)
        if self._classes.exclusive:
            each = -(self._truth * np.log(clipped)).sum(axis=1)
        else:
            each = -(self._truth * np.log(clipped) + (1 - self._truth) * np.log(1 - clipped))
            each = each.mean(axis=1)
        return _mean(each, weights)

    def _calibration_error(self, weights: Array) -> float:
        """Expected calibration error over equal-width bins (Guo et al., 2017)."""
        if weights.sum() == 0:
            return float("nan")
        if self._classes.exclusive:
            confidence, right, weight = self._confidence, self._right, weights
        else:
            confidence, right = self._scores.ravel(), self._truth.ravel()
            weight = np.repeat(weights, self._truth.shape[1])
        bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        gap = np.bincount(bins, weight * (right - confidence), CALIBRATION_BINS)
        return float(np.abs(gap).sum() / weight.sum())


def new_metrics(table: pd.DataFrame, classes: ClassTable) -> ClassificationMetrics:
    """Metrics of a prediction table with the columns of `predict` and ``truth`` (names)."""
    return ClassificationMetrics(table, classes)


def indicator(names: pd.Series, classes: ClassTable) -> Array:
    """(N, C) float64 of 0 and 1 from class names, joined by ``|`` where there are several."""
    index = {name: i for i, name in enumerate(classes.names)}
    result = np.zeros((len(names), len(classes)))
    for row, text in enumerate(names):
        parts = [text] if classes.exclusive else [part for part in text.split(SEPARATOR) if part]
        for part in parts:
            if part in index:
                result[row, index[part]] = 1
    return result


def _tie_groups(ordered: Array) -> Array:
    """For each place of each sorted column, the place where its run of equal values starts."""
    places = np.broadcast_to(np.arange(len(ordered))[:, None], ordered.shape).copy()
    same = np.zeros(ordered.shape, bool)
    same[1:] = ordered[1:] == ordered[:-1]
    places[same] = 0
    return np.maximum.accumulate(places, axis=0)


def _mean(values: Array, weights: Array) -> float:
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def _mean_over(values: Array, present: Array) -> float:
    chosen = values[present]
    return float(np.nanmean(chosen)) if np.isfinite(chosen).any() else float("nan")


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
