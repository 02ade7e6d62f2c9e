"""Transforms of albumentations that resize images as `preprocessing.resize` does.

Masks and boxes go the way of albumentations' own classes.
"""

from collections.abc import Callable
from typing import Any

import albumentations as A

from graft.vision.preprocessing import INTERPOLATIONS, resize_exact, resize_smooth
from graft.vision.records import Array

NAMES = {code: name for name, code in INTERPOLATIONS.items()}


class _Step:
    """``way``: (pixels, width, height, interpolation) -> pixels."""

    way: Callable[[Array, int, int, str], Array]
    interpolation: int

    def to(self, img: Array, height_px: int, width_px: int) -> Array:
        return self.way(img, width_px, height_px, NAMES[self.interpolation])

    def by(self, img: Array, scale: float) -> Array:
        height, width = (max(1, round(side * scale)) for side in img.shape[:2])
        return self.to(img, height, width)


class _Exact(_Step):
    way = staticmethod(resize_exact)


class _Smooth(_Step):
    way = staticmethod(resize_smooth)


class _Resize(_Step, A.Resize):
    """To a height and a width."""

    def apply(self, img: Array, **params: Any) -> Array:
        return self.to(img, self.height, self.width)


class _SmallestMaxSize(_Step, A.SmallestMaxSize):
    """Brings the shorter side to a length."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        return self.by(img, scale)


class _LongestMaxSize(_Step, A.LongestMaxSize):
    """Brings the longer side to a length."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        return self.by(img, scale)


class _RandomScale(_Step, A.RandomScale):
    """Scales by a factor that is drawn."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        # Cut to whole pixels, as the base class cuts the sides of masks.
        return self.to(img, int(img.shape[0] * scale), int(img.shape[1] * scale))


class _RandomResizedCrop(_Step, A.RandomResizedCrop):
    """Brings a part that is drawn to a size."""

    def apply(self, img: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        left, top, right, bottom = crop_coords
        return self.to(img[top:bottom, left:right], *self.size)


class ExactResize(_Exact, _Resize): ...


class ExactSmallestMaxSize(_Exact, _SmallestMaxSize): ...


class ExactLongestMaxSize(_Exact, _LongestMaxSize): ...


class ExactRandomScale(_Exact, _RandomScale): ...


class ExactRandomResizedCrop(_Exact, _RandomResizedCrop): ...


class SmoothResize(_Smooth, _Resize): ...


class SmoothSmallestMaxSize(_Smooth, _SmallestMaxSize): ...


class SmoothLongestMaxSize(_Smooth, _LongestMaxSize): ...


class SmoothRandomScale(_Smooth, _RandomScale): ...


class SmoothRandomResizedCrop(_Smooth, _RandomResizedCrop): ...


PLAIN = (A.Resize, A.SmallestMaxSize, A.LongestMaxSize, A.RandomScale, A.RandomResizedCrop)
EXACT = (
    ExactResize, ExactSmallestMaxSize, ExactLongestMaxSize, ExactRandomScale,
    ExactRandomResizedCrop,
)  # fmt: skip
SMOOTH = (
    SmoothResize, SmoothSmallestMaxSize, SmoothLongestMaxSize, SmoothRandomScale,
    SmoothRandomResizedCrop,
)  # fmt: skip

OURS: dict[str, Any] = {kind.get_class_fullname(): kind for kind in (*EXACT, *SMOOTH)}
"""By the name that a policy's record has for each."""
