"""How near the points are."""

import json

import cv2
import numpy as np
import pandas as pd

from graft.vision.records import Array
from graft.vision.task import ClassTable, Shown
from graft.vision.tasks.key_points.truth import point_in

REACH = 0.25
"""Of the image's diagonal: a point as far away is as good as none."""


class KeyPointMetrics:
    """Scores over any resample of a prediction table's rows."""

    def __init__(self, table: pd.DataFrame, classes: ClassTable) -> None:
        index = {name: number for number, name in enumerate(classes.names)}
        true = [point_in(text) for text in table["truth"]]
        said = [json.loads(text) for text in table["prediction"]]
        self._classes = classes
        self._points = np.array([point for point, _, _ in true]).reshape(-1, 2)
        self._sizes = np.array([size for _, size, _ in true]).reshape(-1, 2)
        self._said = np.array([words["point_xy"] for words in said]).reshape(-1, 2)
        self._true_kinds = np.array([index[name] for _, _, name in true], int)
        self._said_kinds = np.array([index[words["class"]] for words in said], int)
        self._scores = table["score"].to_numpy(float)
        self._right = (self._true_kinds == self._said_kinds).astype(float)
        far = np.linalg.norm(self._said - self._points, axis=1)
        self._far = far / np.linalg.norm(self._sizes, axis=1)
        self._closeness = self._right * np.clip(1 - self._far / REACH, 0, 1)

    def scores(self, rows: Array | None = None) -> dict[str, float]:
        """closeness first: 1 on the point, 0 from `REACH` on and for another class."""
        chosen = np.arange(len(self._far)) if rows is None else rows
        parts = {"closeness": self._closeness, "class_accuracy": self._right}
        parts["mean_distance_error"] = self._far
        return {name: _mean(values[chosen]) for name, values in parts.items()}

    def per_class(self) -> pd.DataFrame:
        """Per class: images, closeness; NaN where undefined."""
        rows = [self._true_kinds == kind for kind in range(len(self._classes))]
        return pd.DataFrame(
            {
                "class": self._classes.names,
                "images": [int(of_class.sum()) for of_class in rows],
                "closeness": [_mean(self._closeness[of_class]) for of_class in rows],
            }
        )

    def confusion(self) -> pd.DataFrame:
        """Counts of images by class."""
        counts = np.zeros((len(self._classes), len(self._classes)), int)
        np.add.at(counts, (self._true_kinds, self._said_kinds), 1)
        names = list(self._classes.names)
        return pd.DataFrame(counts, index=names, columns=names)

    def image_scores(self) -> Array:
        """Closeness of each image."""
        return self._closeness

    def reliability(self) -> tuple[Array, Array]:
        """The score of each class said, and whether it was right."""
        return self._scores, self._right

    def show(self, row: int, pixels: Array) -> Shown:
        """The point on the picture, what was said of it on its companion."""
        scale = np.array(pixels.shape[1::-1]) / self._sizes[row]
        pictures = []
        for point in (self._points[row], self._said[row]):
            picture = pixels[:, :, :3].copy()
            place = (int(point[0] * scale[0]), int(point[1] * scale[1]))
            pictures.append(cv2.circle(picture, place, 3, (255, 255, 255), 1))
        return Shown(pictures[0], f"{self._far[row]:.0%} of the diagonal away", pictures[1])


def new_metrics(table: pd.DataFrame, classes: ClassTable) -> KeyPointMetrics:
    """Metrics of a prediction table with the columns of `predict` and ``truth`` (boxes)."""
    return KeyPointMetrics(table, classes)


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
