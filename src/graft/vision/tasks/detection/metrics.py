"""Scores of detection: COCO's, checked against pycocotools in the tests."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from graft.vision.records import Array
from graft.vision.task import ClassTable, Evidence, Figure, Shown
from graft.vision.tasks.detection.average_precision import RECALLS, AveragePrecision, find
from graft.vision.tasks.detection.boxes import Boxes, boxes_in, overlaps
from graft.vision.tasks.detection.drawing import colour_of, draw_boxes
from graft.vision.tasks.detection.illustrations import (
    SURE,
    WORDS,
    counts_per_class,
    counts_per_image,
    evidence_for,
    precision_recall,
    scores_by_size,
)
from graft.vision.tasks.detection.matching import match_greedily

LOOSEST = np.array([0.5])
MISSED, INVENTED = "missed", "invented"


class DetectionMetrics:
    """Scores over any resample of a prediction table's rows."""

    def __init__(self, table: pd.DataFrame, classes: ClassTable) -> None:
        self._classes = classes
        index = {name: i for i, name in enumerate(classes.names)}
        self._texts = list(table["truth"])
        self._truth = [boxes_in(text, index) for text in self._texts]
        self._said = [boxes_in(text, index) for text in table["prediction"]]
        self._found = [find(self._truth, self._said, i) for i in range(len(classes))]
        self._average_precision = AveragePrecision(self._found)

    def scores(self, rows: Array | None = None) -> dict[str, float]:
        """COCO's summary, ``map`` first: over IoU 0.50 to 0.95, and ``mar`` (recall) by the most
        predictions per image and class. Classes without objects do not count; small, medium and
        large are up to 32 and 96 px squared in the upright original."""
        weights = np.ones(len(self._truth))
        if rows is not None:
            weights = np.bincount(rows, minlength=len(self._truth)).astype(float)
        found = self._average_precision.precisions(weights)
        return {
            "map": _mean(found[:, 0]),
            "map50": _mean(found[:, 0, 0]),
            "map75": _mean(found[:, 0, 5]),
            "map_small": _mean(found[:, 1]),
            "map_medium": _mean(found[:, 2]),
            "map_large": _mean(found[:, 3]),
            "mar1": _mean(self._average_precision.recalls(weights, 1)),
            "mar10": _mean(self._average_precision.recalls(weights, 10)),
            "mar100": _mean(self._average_precision.recalls(weights, 100)),
        }

    def per_class(self) -> pd.DataFrame:
        """Per class: images with it, its boxes, AP, AP at IoU 0.5, recall; NaN where undefined."""
        weights = np.ones(len(self._truth))
        found = self._average_precision.precisions(weights)[:, 0]
        objects = np.stack([part.objects[:, 0] for part in self._found])
        return pd.DataFrame(
            {
                "class": self._classes.names,
                "images": (objects > 0).sum(axis=1),
                "boxes": objects.sum(axis=1).astype(int),
                "ap": found.mean(axis=1),
                "ap50": found[:, 0],
                "recall": self._average_precision.recalls(weights).mean(axis=1),
            }
        )

    def confusion(self) -> pd.DataFrame:
        """Counts of objects (rows) by the class that what lies on them was given, at IoU 0.5 and
        score 0.5; the last column is for objects missed, the last row for predictions invented."""
        names, last = list(self._classes.names), len(self._classes)
        counts = np.zeros((last + 1, last + 1), int)
        for truth, said in zip(self._truth, self._said, strict=True):
            sure = _sure(said)
            taken = match_greedily(overlaps(sure, truth), np.zeros((1, len(truth)), bool), LOOSEST)
            on = taken[0, 0]
            # A place for "none" at the end, where -1 points.
            np.add.at(counts, (np.append(truth.class_ids, last)[on], sure.class_ids), 1)
            missed = np.setdiff1d(np.arange(len(truth)), on)
            np.add.at(counts, (truth.class_ids[missed], last), 1)
        return pd.DataFrame(counts, index=[*names, INVENTED], columns=[*names, MISSED])

    def image_scores(self) -> Array:
        """F1 of each image at IoU 0.5 and score 0.5; 1 where rightly nothing was said."""
        counts = self.counts()
        both = counts["objects"] + counts["predictions"]
        return np.where(both > 0, 2 * counts["right"] / both.clip(lower=1), 1.0)

    def counts(self) -> pd.DataFrame:
        """Per image: ``objects``, ``predictions`` (score 0.5 or more), ``right`` (at IoU 0.5) and
        ``error`` (how many predictions too many, or too few)."""
        objects, said, right = (found.sum(axis=1) for found in self._counts())
        return pd.DataFrame(
            {"objects": objects, "predictions": said, "right": right, "error": said - objects}
        )

    def _counts(self) -> tuple[Array, Array, Array]:
        """(N, C) objects, predictions that are sure, and those of them that are right."""
        said, right = np.zeros((2, len(self._truth), len(self._classes)), int)
        for class_id, part in enumerate(self._found):
            sure = part.score >= SURE
            said[:, class_id] = np.bincount(part.image[sure], minlength=len(said))
            hit = sure & part.right[0, 0]
            right[:, class_id] = np.bincount(part.image[hit], minlength=len(said))
        objects = np.stack([part.objects[:, 0] for part in self._found], axis=1).astype(int)
        return objects, said, right

    def curves(self) -> pd.DataFrame:
        """Columns ``class``, ``recall``, ``precision`` at IoU 0.5: 101 points per class."""
        each = [self._average_precision.curve(i) for i in range(len(self._classes))]
        return pd.DataFrame(
            {
                "class": np.repeat(np.array(self._classes.names, object), len(RECALLS)),
                "recall": np.tile(RECALLS, len(each)),
                "precision": np.concatenate(each),
            }
        )

    def reliability(self) -> tuple[Array, Array]:
        """Score of every predicted box, and whether it lies on an object of its class (IoU 0.5)."""
        scores = np.concatenate([part.score for part in self._found])
        right = np.concatenate([part.right[0, 0] for part in self._found])
        return scores, right.astype(float)

    def show(self, row: int, pixels: Array) -> Shown:
        """Objects drawn on the picture, dashed where missed; predictions on its companion, dashed
        where wrong, thin where their score is below 0.5."""
        width, height = json.loads(self._texts[row])["size_px"]
        scale = np.array([pixels.shape[1] / width, pixels.shape[0] / height] * 2)
        truth, said = self._truth[row], self._said[row]
        right, found = _agreement(truth, said)
        sure = said.scores >= SURE
        caption = (
            f"of {len(truth)} objects {found.sum()} found and {(~found).sum()} missed; "
            f"{(sure & ~right).sum()} wrong or invented"
        )
        return Shown(
            draw_boxes(pixels, truth, scale, self._classes, SURE, right=found),
            caption,
            draw_boxes(pixels, said, scale, self._classes, SURE, right=right, scored=True),
        )

    def figures(self) -> Sequence[Figure]:
        """Precision by recall, counts per image and class, scores by size."""
        areas = self._average_precision.precisions(np.ones(len(self._truth)))
        objects = np.sum([part.objects.sum(axis=0) for part in self._found], axis=0)
        return (
            precision_recall(self.curves()),
            counts_per_image(self.counts()),
            counts_per_class(self._classes, *self._counts()),
            scores_by_size(objects, areas),
        )

    def words(self) -> Mapping[str, str]:
        """A line on each score and on parts of the report."""
        return WORDS

    def legend(self) -> Mapping[str, tuple[int, int, int]]:
        """The colour of each class."""
        return {name: colour_of(i) for i, name in enumerate(self._classes.names)}

    def evidence(self, row: int) -> Evidence:
        """The boxes that are said of this image."""
        return evidence_for(self._said[row].scores.tolist())


def new_metrics(table: pd.DataFrame, classes: ClassTable) -> DetectionMetrics:
    """Metrics of a prediction table with the columns of `predict` and ``truth`` (its JSON)."""
    return DetectionMetrics(table, classes)


def _agreement(truth: Boxes, said: Boxes) -> tuple[Array, Array]:
    """Which predictions lie on an object of their class, and which objects a sure one lies on."""
    right, found = np.zeros(len(said), bool), np.zeros(len(truth), bool)
    same = said.class_ids[:, None] == truth.class_ids
    order = np.argsort(-said.scores, kind="stable")
    overlap = np.where(same, overlaps(said, truth), 0.0)[order]
    taken = match_greedily(overlap, np.zeros((1, len(truth)), bool), LOOSEST)[0, 0]
    right[order] = taken >= 0
    found[taken[(taken >= 0) & (said.scores[order] >= SURE)]] = True
    return right, found


def _sure(said: Boxes) -> Boxes:
    return said.chosen(np.flatnonzero(said.scores >= SURE))


def _mean(values: Array) -> float:
    """Mean of what is defined; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
