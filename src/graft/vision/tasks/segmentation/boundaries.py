"""How well the edges of classes are met: the boundary F-score of Csurka et al. (2013)."""

import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.records import Array

TOLERANCE = 0.0075
"""Of the image's diagonal; as Csurka et al. and, for BSDS, Martin et al. (2004)."""
BITS = 64


def boundary_scores(truth: Array, predicted: Array, classes: int) -> Array:
    """(C,) F-score of each class's edges; NaN for a class with an edge in neither mask.

    An edge pixel is met where the other mask has one of the same class within the tolerance, by
    Euclidean distance. Edges against what nobody judges, and within it, do not count.

    Args:
        truth: (H, W) uint8 class numbers, 255 where nobody judges.
        predicted: (H, W) uint8 class numbers.
    """
    predicted = np.where(truth == IGNORED, np.uint8(IGNORED), predicted)
    reach = TOLERANCE * float(np.hypot(*truth.shape))
    true, found = edges_of(truth), edges_of(predicted)
    met_true, met_found = _met(true, found, classes, reach), _met(found, true, classes, reach)
    all_true, all_found = _count(true, classes), _count(found, classes)
    recall = met_true / np.maximum(all_true, 1)
    precision = met_found / np.maximum(all_found, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return np.where(all_true + all_found > 0, score, np.nan)


def edges_of(mask: Array) -> Array:
    """(H, W) uint8: the class of pixels beside (left, right, above, below) another judged class.

    255 everywhere else.
    """
    edges = np.zeros(mask.shape, bool)
    judged = mask != IGNORED
    for one, other in (
        ((slice(None, -1),), (slice(1, None),)),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        differs = (mask[one] != mask[other]) & judged[one] & judged[other]
        edges[one] |= differs
        edges[other] |= differs
    return np.where(edges, mask, np.uint8(IGNORED))


def _count(edges: Array, classes: int) -> Array:
    return np.bincount(edges.ravel(), minlength=256)[:classes]


def _met(edges: Array, others: Array, classes: int, reach: float) -> Array:
    """(C,) edge pixels of each class that have one of the others, of that class, within reach."""
    y, x = np.nonzero(edges < classes)
    numbers = edges[y, x]
    met = np.zeros(len(numbers), bool)
    for first in range(0, classes, BITS):
        near = _spread(_as_bits(others, first), reach)[y, x]
        here = (numbers >= first) & (numbers < first + BITS)
        bit = np.where(here, numbers - first, 0).astype(near.dtype)
        met |= here & ((near >> bit) & near.dtype.type(1)).astype(bool)
    return np.bincount(numbers[met], minlength=classes)[:classes]


def _as_bits(edges: Array, first: int) -> Array:
    """(H, W) unsigned integers in which bit i stands for an edge of class ``first + i``."""
    last = int(edges[edges != IGNORED].max(initial=0)) - first
    kind = next(bits for bits in (8, 16, 32, 64) if last < bits or bits == BITS)
    numbers = np.zeros(256, f"uint{kind}")
    for number in range(first, min(first + kind, IGNORED)):
        numbers[number] = 1 << (number - first)
    return numbers[edges]


def _spread(bits: Array, reach: float) -> Array:
    """Every bit spread over the disc of this radius, all classes at once."""
    height, width = bits.shape
    spread, row, done = bits.copy(), bits.copy(), 0
    for dy in range(min(int(reach), height - 1), -1, -1):
        half = min(int(np.sqrt(reach**2 - dy**2)), width - 1)
        for dx in range(done + 1, half + 1):
            row[:, dx:] |= bits[:, :-dx]
            row[:, :-dx] |= bits[:, dx:]
        done = max(done, half)
        spread[dy:] |= row[: height - dy]
        spread[: height - dy] |= row[dy:]
    return spread
