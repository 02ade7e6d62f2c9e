"""Scores of masks, over judged pixels; checked by hand, against scikit-learn and torchmetrics."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from graft.vision.data.masks import decode_mask
from graft.vision.errors import DataError
from graft.vision.records import Array
from graft.vision.task import ClassTable, Evidence, Figure, Shown
from graft.vision.tasks.segmentation.boundaries import boundary_scores
from graft.vision.tasks.segmentation.illustrations import (
    WORDS,
    classes_by_image,
    evidence_for,
    images_by_score,
)
from graft.vision.tasks.segmentation.pictures import legend_of, paint, say_classes
from graft.vision.tasks.segmentation.truth import class_numbers


class SegmentationMetrics:
    """Scores over any resample of a prediction table's rows.

    The pixels of an image are counted once; a resample weighs the counts of its images.

    A class counts towards a mean where the truth or the prediction of the resample has it, so
    that inventing one costs; a class that is in neither is undefined, and counts nowhere.
    """

    def __init__(self, table: pd.DataFrame, classes: ClassTable) -> None:
        self._classes, self._table = classes, table
        count = len(classes)
        self._hits, self._true, self._said = np.zeros((3, len(table), count), np.int64)
        self._edges = np.full((len(table), count), np.nan)
        self._confusion = np.zeros((count, count), np.int64)
        for row in range(len(table)):
            truth, predicted = self._masks(row)
            counts = confusion_of(truth, predicted, count)
            self._confusion += counts
            self._hits[row] = np.diag(counts)
            self._true[row] = np.bincount(truth.ravel(), minlength=256)[:count]
            self._said[row] = counts.sum(axis=0)
            self._edges[row] = boundary_scores(truth, predicted, count)
        self._image_edges = _mean(self._edges)
        self._right = _ratio(self._hits.sum(axis=1), self._true.sum(axis=1))

    def scores(self, rows: Array | None = None) -> dict[str, float]:
        """miou first, then dice (mean over classes, as miou), pixel accuracy and boundary F-score.

        The first three count the pixels of all images together; the boundary F-score is the mean
        over images of the mean over each one's classes (Csurka et al., 2013).
        """
        weights = np.ones(len(self._table))
        if rows is not None:
            weights = np.bincount(rows, minlength=len(self._table)).astype(float)
        hits, true, said = weights @ self._hits, weights @ self._true, weights @ self._said
        edged = np.isfinite(self._image_edges)
        edges = np.where(edged, self._image_edges, 0.0)
        return {
            "miou": float(_mean(_ratio(hits, true + said - hits))),
            "dice": float(_mean(_ratio(2 * hits, true + said))),
            "pixel_accuracy": float(_ratio(hits.sum(), true.sum())),
            "boundary_f": float(_ratio(weights @ edges, weights @ edged)),
        }

    def per_class(self) -> pd.DataFrame:
        """Per class: images with it, IoU, Dice, precision and recall of pixels, boundary F-score.

        NaN where undefined: IoU and Dice of a class in neither truth nor prediction, recall of
        one that is not in the truth, precision of one that is not predicted.
        """
        hits, true, said = (c.sum(axis=0) for c in (self._hits, self._true, self._said))
        return pd.DataFrame(
            {
                "class": self._classes.names,
                "images": (self._true > 0).sum(axis=0),
                "iou": _ratio(hits, true + said - hits),
                "dice": _ratio(2 * hits, true + said),
                "precision": _ratio(hits, said),
                "recall": _ratio(hits, true),
                "boundary_f": _mean(self._edges.T),
            }
        )

    def confusion(self) -> pd.DataFrame:
        """Judged pixels of all images, truth in rows and prediction in columns."""
        names = list(self._classes.names)
        return pd.DataFrame(self._confusion, index=names, columns=names)

    def image_scores(self) -> Array:
        """(N,) mean IoU of each image over the classes in its truth or prediction."""
        return _mean(self._image_ious())

    def reliability(self) -> tuple[Array, Array]:
        """The score of each image, and the share of its judged pixels that are right.

        Tables hold no confidence per pixel; the score is its mean, and the share right is what it
        foretells. Images without judged pixels are left out.
        """
        judged = np.isfinite(self._right)
        return self._table["score"].to_numpy(float)[judged], self._right[judged]

    def show(self, row: int, pixels: Array) -> Shown:
        """Truth beside prediction, in colours that the caption names; the ignored is hatched."""
        truth, predicted = self._masks(row)
        ious, right = self._image_ious()[row], self._right[row]
        score = _mean(ious)
        said = f"mean IoU {score:.2f}, {right:.0%} of pixels right" if np.isfinite(right) else "n/a"
        caption = f"{said}; {say_classes(self._classes, self._true[row], ious)}"
        return Shown(paint(pixels, truth), caption, paint(pixels, predicted))

    def figures(self) -> Sequence[Figure]:
        """Images by their scores; classes found, missed and invented."""
        ious = self._image_ious()
        return (
            images_by_score(_mean(ious), self._right),
            classes_by_image(self._classes, self._true, self._said, ious),
        )

    def words(self) -> Mapping[str, str]:
        """A line on each score and on parts of the report."""
        return WORDS

    def legend(self) -> Mapping[str, tuple[int, int, int]]:
        """The colour of each class, and of what nobody judges."""
        return legend_of(self._classes)

    def evidence(self, row: int) -> Evidence:
        """The class said of this image that is met least."""
        return evidence_for(self._classes, self._said[row], self._image_ious()[row])

    def _image_ious(self) -> Array:
        return _ratio(self._hits, self._true + self._said - self._hits)

    def _masks(self, row: int) -> tuple[Array, Array]:
        """Truth (255 where ignored) and prediction of a row, as numbers of the class table."""
        texts = [str(self._table[column].iloc[row]) for column in ("truth", "prediction")]
        truth, predicted = (_read(json.loads(text), self._classes) for text in texts)
        if truth.shape != predicted.shape:
            raise DataError(
                f"row {row} of the predictions has a mask of another size than its truth",
                found=predicted.shape,
                allowed=truth.shape,
                mend="predict again from the images that the truth belongs to",
            )
        return truth, predicted


def new_metrics(table: pd.DataFrame, classes: ClassTable) -> SegmentationMetrics:
    """Metrics of a prediction table with the columns of `predict` and ``truth``."""
    return SegmentationMetrics(table.reset_index(drop=True), classes)


def confusion_of(truth: Array, predicted: Array, classes: int) -> Array:
    """(C, C) judged pixels that were given a class, truth in rows."""
    judged = (truth < classes) & (predicted < classes)
    pairs = truth[judged].astype(np.int64) * classes + predicted[judged]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _read(said: dict[str, Any], classes: ClassTable) -> Array:
    return cv2.LUT(decode_mask(said["png"]), class_numbers(said, classes))


def _ratio(above: Any, below: Any) -> Array:
    below = np.asarray(below, float)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def _mean(values: Array) -> Array:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))
