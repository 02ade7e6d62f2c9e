"""The objects of a truth: its boxes."""

import numpy as np

from graft.vision.records import Truth
from graft.vision.task import StatedObject


def objects(truth: Truth, width_px: int, height_px: int) -> list[StatedObject]:
    """One per box, in the order of the truth."""
    boxes = truth["boxes_xyxy"] * np.array([width_px, height_px] * 2, float)
    return [
        StatedObject(int(class_id), (x0, y0, x1, y1))
        for class_id, (x0, y0, x1, y1) in zip(truth["class_ids"], boxes.tolist(), strict=True)
    ]
