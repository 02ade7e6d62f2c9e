"""The objects of a truth: the connected parts of its mask."""

from collections.abc import Iterator

import cv2
import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.records import Array, Truth
from graft.vision.task import StatedObject
from graft.vision.tasks.segmentation.transform import resize_mask

LEAST_SHARE = 1 / 256
"""Of an image's pixels: a part that is smaller is less than one place of a map of 16 x 16, as the
coarser ones are, and shows too little of what it is."""
LONGEST_PX = 512
"""Side of a mask, beyond which it is reduced before it is taken apart: no view shows more."""


def objects(truth: Truth, width_px: int, height_px: int) -> list[StatedObject]:
    """One per connected part of a class that is not too small; class by class."""
    mask = _reduced(truth["mask"])
    x_scale, y_scale = width_px / mask.shape[1], height_px / mask.shape[0]
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORED]).tolist()
    return [
        StatedObject(
            class_id,
            (x * x_scale, y * y_scale, (x + width) * x_scale, (y + height) * y_scale),
            part,
        )
        for class_id in present
        for x, y, width, height, part in _parts(mask == class_id)
    ]


def _reduced(mask: Array) -> Array:
    height, width = mask.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    return resize_mask(mask, max(1, round(width * scale)), max(1, round(height * scale)))


def _parts(there: Array) -> Iterator[tuple[int, int, int, int, Array]]:
    """Left, top, width, height and pixels of each part, in px of the mask."""
    pixels = there.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)  # what lies outside would take time
    pixels = pixels[top : top + height, left : left + width]
    _, numbers, found, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
    large = np.flatnonzero(found[:, cv2.CC_STAT_AREA] >= LEAST_SHARE * there.size)
    for number in large[large > 0]:  # 0 is what is not there
        x, y, width, height = map(int, found[number, :4])
        part = numbers[y : y + height, x : x + width] == number
        yield left + x, top + y, width, height, part
