"""Anchors fitted to the boxes that a case teaches."""

from collections.abc import Sequence

import numpy as np

from graft.vision.data.options import stored_size
from graft.vision.preprocessing import Preprocessing, frame_of
from graft.vision.records import Array
from graft.vision.tasks.detection.options import TaskOptions
from graft.vision.tasks.detection.truth import said_of

LEAST_SCALE, MOST_SCALE = 1.5, 8.0
"""Sides of the smallest anchor, in places of the finest map: a smaller object is hardly seen
there, and for larger ones a coarser map is."""
SMALLEST, LARGEST = 0.05, 0.95
"""Shares of objects that are smaller than the smallest, and than the largest, that anchors fit."""
FEW_BOXES = 20


def fit_anchors(
    options: TaskOptions,
    texts: Sequence[str],
    view: Preprocessing,
    short_side_px: int | None = None,
) -> dict[str, tuple[float, ...]]:
    """``anchor_scales`` and ``anchor_ratios`` where the options leave them null.

    Scales begin at the smallest objects and fill the octave to the next coarser map evenly;
    ratios are the middle and the tenths at either end of the objects' own. With few boxes the
    defaults stand.

    Args:
        texts: truth texts of the training split.
        view: how images become what the detector sees.
        short_side_px: by which it is known how far stored pixels are reduced (`stored_size`).
    """
    sides = _sides_in_view(texts, view, short_side_px)
    if len(sides) < FEW_BOXES:
        return {}
    fitted: dict[str, tuple[float, ...]] = {}
    if options.anchor_scales is None:
        smallest = np.quantile(np.sqrt(sides.prod(axis=1)), SMALLEST)
        first = float(np.clip(smallest / options.reductions[0], LEAST_SCALE, MOST_SCALE))
        fitted["anchor_scales"] = (round(first, 2), round(first * 2**0.5, 2))
    if options.anchor_ratios is None:
        ratios = np.quantile(sides[:, 1] / sides[:, 0], (0.1, 0.5, 0.9))
        fitted["anchor_ratios"] = tuple(round(float(ratio), 2) for ratio in ratios)
    return fitted


def _sides_in_view(texts: Sequence[str], view: Preprocessing, short_side_px: int | None) -> Array:
    """(M, 2) widths and heights in px of the view of all boxes."""
    sides = [np.zeros((0, 2))]
    for text in texts:
        said = said_of(text)
        if not said["classes"]:
            continue
        width, height = said["size_px"]
        stored = (width, height)
        if view.fit == "tiles":  # whose scale is that of the stored pixels
            stored = stored_size(width, height, short_side_px)
        frame = frame_of(stored[::-1], width, height, view)
        boxes = np.array(said["boxes_xyxy"], float)
        sides.append((boxes[:, 2:] - boxes[:, :2]) * [frame.scale_x, frame.scale_y])
    return np.concatenate(sides)
