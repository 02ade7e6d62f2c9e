"""Average precision as COCO defines it, for any weighting of the images.

Checked against pycocotools in the tests. What is costly (matching, sorting by score) is done once;
a resample of images is a weight for each, and costs a few cumulative sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graft.vision.records import Array
from graft.vision.tasks.detection.boxes import Boxes, overlaps
from graft.vision.tasks.detection.matching import LIMITS, match_greedily

AREAS_PX = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Square px of the upright original; both ends belong to a range."""
MOST = (1, 10, 100)
"""Numbers of best predictions per image and class that recalls are told for."""
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one class's predictions, in falling order of score over all images.

    Attributes:
        image: (D,) row of each prediction.
        rank: (D,) its place among the predictions of its image, from 0.
        score: (D,).
        right: (A, T, D) bool: found an object that counts, by area and limit.
        ignored: (A, T, D) bool: neither right nor wrong.
        objects: (N, A) objects that count, by image and area.
    """

    image: Array
    rank: Array
    score: Array
    right: Array
    ignored: Array
    objects: Array


def find(truth: Sequence[Boxes], said: Sequence[Boxes], class_id: int) -> Found:
    """Match one class's predictions with its objects, image by image."""
    parts = [
        _find_in_image(t.chosen(t.class_ids == class_id), p.chosen(p.class_ids == class_id))
        for t, p in zip(truth, said, strict=True)
    ]
    score = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0)
    image = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    rank = np.concatenate([np.arange(len(part[0])) for part in parts] or [np.zeros(0, int)])
    shape = (len(AREAS_PX), len(LIMITS), 0)
    right = np.concatenate([np.zeros(shape, bool), *(part[1] for part in parts)], axis=-1)
    ignored = np.concatenate([np.zeros(shape, bool), *(part[2] for part in parts)], axis=-1)
    objects = np.array([part[3] for part in parts]).reshape(-1, len(AREAS_PX))
    order = np.argsort(-score, kind="stable")
    return Found(
        image[order], rank[order], score[order], right[..., order], ignored[..., order], objects
    )


def _find_in_image(truth: Boxes, said: Boxes) -> tuple[Array, Array, Array, Array]:
    """Scores (D,), right and ignored (A, T, D), counted objects (A,) of one image and class."""
    said = said.chosen(np.argsort(-said.scores, kind="stable")[: MOST[-1]])
    outside = _outside(truth.areas)
    taken = match_greedily(overlaps(said, truth), outside)
    # A place for "none" at the end, where -1 points.
    uncounted = np.concatenate([outside, np.ones((len(outside), 1), bool)], axis=1)
    onto_ignored = np.take_along_axis(uncounted[:, None], taken, axis=-1)
    matched = taken >= 0
    ignored = np.where(matched, onto_ignored, _outside(said.areas)[:, None])
    return said.scores, matched & ~onto_ignored, ignored, (~outside).sum(axis=1)


def _outside(areas: Array) -> Array:
    """(A, M) bool: which areas lie outside each range."""
    ranges = np.array(list(AREAS_PX.values()))[:, :, None]
    return (areas < ranges[:, 0]) | (areas > ranges[:, 1])


class AveragePrecision:
    """Average precisions and recalls of a table of images by class, area and limit."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._shape = (len(found), len(AREAS_PX), len(LIMITS))
        self._objects = np.stack([part.objects for part in found], axis=1)  # (N, K, A)
        cells = [_cell_entries(part) for part in found]
        self._image = np.concatenate([image for image, _, _ in cells])
        right = np.concatenate([right for _, right, _ in cells])
        counts = np.concatenate([count for _, _, count in cells])
        self._right = np.flatnonzero(right)
        self._cell = np.repeat(np.arange(len(counts)), counts)[self._right]
        self._start = (np.cumsum(counts) - counts)[self._cell]
        self._first = np.flatnonzero(np.diff(self._cell, prepend=-1))
        self._recalled = np.stack([_recalled(part) for part in found], axis=1)

    def precisions(self, weights: Array) -> Array:
        """(K, A, T) average precision with (N,) image weights; NaN where no object counts."""
        objects = np.repeat(self._objects_in(weights).ravel(), len(LIMITS))
        recall, precision = self._curves(weights, objects)
        best = self._envelope(precision)
        reached = np.searchsorted(RECALLS, recall, side="right")
        before = np.concatenate([[0], reached[:-1]])
        before[self._first] = 0
        gained = np.bincount(self._cell, (reached - before) * best, len(objects)) / len(RECALLS)
        return np.where(objects > 0, gained, np.nan).reshape(self._shape)

    def recalls(self, weights: Array, most: int = MOST[-1]) -> Array:
        """(K, T) share of objects found by the ``most`` best predictions per image and class."""
        objects = self._objects_in(weights)[:, :1]
        found = np.tensordot(weights, self._recalled[:, :, MOST.index(most)], axes=1)
        return np.divide(found, objects, out=np.full(found.shape, np.nan), where=objects > 0)

    def curve(self, class_id: int) -> Array:
        """(101,) best precision at or beyond each of RECALLS, any area, at the loosest limit."""
        weights = np.ones(len(self._objects))
        objects = np.repeat(self._objects_in(weights).ravel(), len(LIMITS))
        cell = int(np.ravel_multi_index((class_id, 0, 0), self._shape))
        if objects[cell] == 0:
            return np.full(len(RECALLS), np.nan)
        recall, precision = self._curves(weights, objects)
        mine = self._cell == cell
        best = np.append(self._envelope(precision)[mine], 0.0)
        return best[np.searchsorted(recall[mine], RECALLS, side="left")]

    def _objects_in(self, weights: Array) -> Array:
        """(K, A) objects that count, by weight."""
        return np.tensordot(weights, self._objects, axes=1)

    def _curves(self, weights: Array, objects: Array) -> tuple[Array, Array]:
        """Recall and precision after each right prediction, cell by cell."""
        weight = weights[self._image]
        all_said = np.concatenate([[0.0], np.cumsum(weight)])
        all_right = np.cumsum(weight[self._right])
        said = all_said[self._right + 1] - all_said[self._start]
        earlier = np.concatenate([[0.0], all_right])[self._first]
        right = all_right - np.repeat(earlier, np.diff(self._first, append=len(self._right)))
        recall = _ratio(right, objects[self._cell])
        return recall, _ratio(right, said)

    def _envelope(self, precision: Array) -> Array:
        """The best precision at this recall or a higher one, within each cell."""
        apart = 2.0 * (np.prod(self._shape) - self._cell)
        return np.maximum.accumulate((precision + apart)[::-1])[::-1] - apart


def _cell_entries(found: Found) -> tuple[Array, Array, Array]:
    """Image and rightness of what is not ignored, cell after cell, and their counts per cell."""
    kept = ~found.ignored
    _, _, place = np.nonzero(kept)
    return found.image[place], found.right[kept], kept.sum(axis=-1).ravel()


def _recalled(found: Found) -> Array:
    """(N, len(MOST), T) objects found in each image by its best predictions."""
    counts = np.zeros((len(found.objects), len(MOST), len(LIMITS)))
    for i, most in enumerate(MOST):
        best = found.rank < most
        np.add.at(counts[:, i], found.image[best], found.right[0][:, best].T)
    return counts


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
