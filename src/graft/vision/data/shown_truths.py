"""What of a truth a view shows: so that one tile can be judged by what it could know."""

import json

import numpy as np

from graft.vision.data.masks import IGNORED, decode_mask, encode_mask
from graft.vision.preprocessing import Frame
from graft.vision.records import Array

VISIBLE_SHARE = 0.25
"""A box of which a view shows less than this share of its area is not asked for, as it is not
taught."""


def words_shown(words: str, frame: Frame) -> str:
    """A truth in words (`truths.truth_in_words`) cut to what a tile shows of its original.

    Boxes are clipped to it; the pixels of a mask that lie beside it are ignored.
    """
    truth = json.loads(words)
    x0, y0, x1, y1 = _rectangle(frame)
    if "png" in truth:
        mask = np.full((frame.height_px, frame.width_px), IGNORED, np.uint8)
        inside = np.s_[round(y0) : round(y1), round(x0) : round(x1)]
        mask[inside] = decode_mask(truth["png"])[inside]
        return json.dumps({**truth, "png": encode_mask(mask)})
    boxes = np.array(truth["boxes_xyxy"], float).reshape(-1, 4)
    clipped = np.clip(boxes, [x0, y0, x0, y0], [x1, y1, x1, y1])
    kept = np.flatnonzero(_areas(clipped) >= VISIBLE_SHARE * _areas(boxes))
    classes = [truth["classes"][i] for i in kept]
    return json.dumps({**truth, "boxes_xyxy": clipped[kept].tolist(), "classes": classes})


def _rectangle(frame: Frame) -> tuple[float, float, float, float]:
    """``xyxy`` of what a tile shows, in px of the original and inside it."""
    x = [-frame.left / frame.scale_x, (frame.side_px - frame.left) / frame.scale_x]
    y = [-frame.top / frame.scale_y, (frame.side_px - frame.top) / frame.scale_y]
    return max(x[0], 0.0), max(y[0], 0.0), min(x[1], frame.width_px), min(y[1], frame.height_px)


def _areas(boxes: Array) -> Array:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
