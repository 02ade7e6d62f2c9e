"""Which prediction finds which object: the greedy rule of COCO."""

import numpy as np

from graft.vision.records import Array

LIMITS = np.linspace(0.5, 0.95, 10)
"""IoU from which a box counts as found, from loose to strict."""


def match_greedily(overlap: Array, ignored: Array, limits: Array = LIMITS) -> Array:
    """The object that each prediction takes, in the order of predictions: (A, T, D), -1 for none.

    Of the objects that are free and overlap by the limit, a prediction takes the one that overlaps
    most (the last of equals, as pycocotools does); one that is ignored only if no other is left.

    Args:
        overlap: (D, G) IoU, predictions in falling order of score.
        ignored: (A, G) bool, for each of A ways of asking.
        limits: (T,) least IoU.
    """
    predictions, objects = overlap.shape
    taken = np.zeros((len(ignored), len(limits), objects), bool)
    found = np.full((len(ignored), len(limits), predictions), -1)
    reach = overlap[:, None, :] >= np.minimum(limits, 1 - 1e-10)[:, None]
    for d in np.flatnonzero(reach.any(axis=(1, 2))):
        free = reach[d] & ~taken
        asked = free & ~ignored[:, None]
        choice = np.where(asked.any(axis=-1, keepdims=True), asked, free)
        fit = np.where(choice, overlap[d], -1.0)
        best = objects - 1 - fit[..., ::-1].argmax(axis=-1)
        a, t = np.nonzero(choice.any(axis=-1))
        found[a, t, d] = best[a, t]
        taken[a, t, best[a, t]] = True
    return found
