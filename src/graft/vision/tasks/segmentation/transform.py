"""How augmentation treats an image and its mask: the mask moves with the pixels."""

from collections.abc import Iterator
from typing import Any

import albumentations as A
import cv2
import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.records import Array, Truth

RESIZING = (
    A.Resize,
    A.LongestMaxSize,
    A.SmallestMaxSize,
    A.RandomScale,
    A.RandomResizedCrop,
    A.RandomSizedCrop,
    A.RandomSizedBBoxSafeCrop,
    A.CropAndPad,
)


def compose_options() -> dict[str, Any]:
    """Nothing beside the image has coordinates of its own."""
    return {}


def transform(compose: Any, pixels: Array, truth: Truth) -> tuple[Array, Truth]:
    """Augment (H, W, C) uint8 pixels and their mask, which is brought to their size first.

    What a transform pads is ignored in the mask that comes out. A border that repeats or mirrors
    the image (``border_mode`` 1 to 4) repeats or mirrors its mask as well.
    """
    if "mask" not in truth:
        return compose(image=pixels)["image"], truth
    _take_nearest_centres(compose)
    height, width = pixels.shape[:2]
    mask = resize_mask(truth["mask"], width, height)
    # albumentations pads masks with 0: numbers move up by one, and 255 becomes that 0 itself.
    found = compose(image=pixels, mask=mask + np.uint8(1))
    mask = np.ascontiguousarray(found["mask"]) - np.uint8(1)
    present = np.bincount(mask.ravel(), minlength=256)[: len(truth["targets"])] > 0
    return found["image"], {**truth, "mask": mask, "targets": present.astype(np.float32)}


def resize_mask(mask: Array, width_px: int, height_px: int) -> Array:
    """(H, W) uint8 to another size: each pixel takes the number under its centre."""
    if mask.shape == (height_px, width_px):
        return mask
    return cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_NEAREST_EXACT)


def _take_nearest_centres(compose: Any) -> None:
    """Plain nearest resizing takes a pixel's corner, and so shifts masks by up to half a pixel.

    Warps take the centre anyway, and OpenCV has the exact kind for resizing only.
    """
    for step in _steps(compose):
        if isinstance(step, RESIZING):
            step.mask_interpolation = cv2.INTER_NEAREST_EXACT


def _steps(compose: Any) -> Iterator[Any]:
    for step in compose.transforms:
        if hasattr(step, "transforms"):
            yield from _steps(step)
        else:
            yield step


assert IGNORED == 255, "numbers move up by one and wrap around"
