"""Transforms of albumentations that resize as `preprocessing.resize_exact` does."""

from typing import Any

import albumentations as A

from graft.vision.preprocessing import INTERPOLATIONS, resize_exact
from graft.vision.records import Array

NAMES = {code: name for name, code in INTERPOLATIONS.items()}


class ExactResize(A.Resize):
    """To a height and a width."""

    def apply(self, img: Array, **params: Any) -> Array:
        """The image; masks and boxes go the way of the base class, here and below."""
        return _resized(self, img, self.height, self.width)


class ExactSmallestMaxSize(A.SmallestMaxSize):
    """Brings the shorter side to a length."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        """The image."""
        return _scaled(self, img, scale)


class ExactLongestMaxSize(A.LongestMaxSize):
    """Brings the longer side to a length."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        """The image."""
        return _scaled(self, img, scale)


class ExactRandomScale(A.RandomScale):
    """Scales by a factor that is drawn."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        """The image; sides are cut to whole pixels as the base class cuts those of masks."""
        return _resized(self, img, int(img.shape[0] * scale), int(img.shape[1] * scale))


class ExactRandomResizedCrop(A.RandomResizedCrop):
    """Brings a part that is drawn to a size."""

    def apply(self, img: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        """The image."""
        left, top, right, bottom = crop_coords
        return _resized(self, img[top:bottom, left:right], *self.size)


EXACT: dict[str, Any] = {
    kind.get_class_fullname(): kind
    for kind in (
        ExactResize,
        ExactSmallestMaxSize,
        ExactLongestMaxSize,
        ExactRandomScale,
        ExactRandomResizedCrop,
    )
}
"""By the name that a policy's record has for each."""


def _scaled(step: Any, img: Array, scale: float) -> Array:
    height, width = (max(1, round(side * scale)) for side in img.shape[:2])
    return _resized(step, img, height, width)


def _resized(step: Any, img: Array, height_px: int, width_px: int) -> Array:
    return resize_exact(img, width_px, height_px, NAMES[step.interpolation])
