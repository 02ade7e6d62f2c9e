"""From upright pixels to what a backbone sees: one rule for training, evaluation and serving."""

import warnings
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from graft.vision.options import Options
from graft.vision.records import Array, digest_of

# Torch warns of memory that nobody may write to, which stored pixels are; here nobody does.
warnings.filterwarnings("ignore", message="The given NumPy array is not writ")

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}

SMOOTH = ("bilinear", "bicubic")
"""What `resize_smooth` interpolates by."""

RULE = "views-4"
"""Changes with the pixels that equal options give."""


class Preprocessing(Options):
    """The deterministic view of an image.

    ``crop``: shorter side to ``size_px / crop_share``, then the centre square (ImageNet's way).
    ``squash``: both sides to ``size_px``, ignoring the aspect ratio.
    ``letterbox``: longer side to ``size_px``, the rest filled with the mean.
    ``tiles``: the scale of the stored pixels is kept, and the view is the centre square, with the
    mean where the image is smaller. A prediction looks at all of the image, tile by tile
    (`graft.vision.tiles`); where there may be one view alone, it is the plain one.
    """

    size_px: int
    crop_share: float = 0.875
    fit: Literal["crop", "squash", "letterbox", "tiles"] = "crop"
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"] = "bicubic"
    antialias: bool = True
    """Look at all of an image that shrinks: plain bicubic in OpenCV skips pixels."""
    resize: Literal["fast", "exact"] = "fast"
    """``exact`` computes the interpolation as Pillow does, antialiased, by which most backbones
    were trained; ``fast`` is the same in other arithmetic (`resize_smooth`)."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Literal[1, 3, 4] = 3

    @property
    def is_smooth(self) -> bool:
        """Whether images are scaled by `resize_smooth`."""
        return self.resize == "fast" and self.antialias and self.interpolation in SMOOTH

    @property
    def digest(self) -> str:
        """Identifies the view; equal digests give equal pixels."""
        return digest_of([RULE, self.model_dump(mode="json")])


@dataclass(frozen=True)
class Frame:
    """How a square view lies in the upright original of an image.

    A place (x, y) of the original, in px, lies at ``x * scale_x + left``, ``y * scale_y + top`` of
    the view; with `crop` the offsets are negative.
    """

    width_px: int
    height_px: int
    scale_x: float
    scale_y: float
    left: float
    top: float
    side_px: int = 0
    """Side of a tile, beyond which its image may go on; 0 where the view is no tile."""
    tile: int = 0
    """Number of the view among those of its image; 0 begins the next image."""


def frame_of(
    stored: tuple[int, ...], width_px: int, height_px: int, options: Preprocessing
) -> Frame:
    """The frame of the view that `view_of` makes of stored (H, W, C) pixels of an original."""
    size = options.size_px
    if options.fit == "squash":
        return Frame(width_px, height_px, size / width_px, size / height_px, 0.0, 0.0)
    new_height, new_width = _fitted(stored, options)
    return Frame(
        width_px,
        height_px,
        new_width / width_px,
        new_height / height_px,
        float(centred(new_width, size)),
        float(centred(new_height, size)),
        size if options.fit == "tiles" else 0,
    )


def centred(length: int, size: int) -> int:
    """Where a length begins in the middle of a size, in px; negative where it is the longer one.

    Either way what is halved, the padding or what is left out, is rounded down.
    """
    return (size - length) // 2 if length < size else -((length - size) // 2)


def _fitted(shape: tuple[int, ...], options: Preprocessing) -> tuple[int, int]:
    """Height and width to which an image is scaled before it is cropped or padded."""
    height, width = shape[:2]
    if options.fit == "tiles":
        return height, width
    if options.fit == "letterbox":
        scale = options.size_px / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    scale = round(options.size_px / options.crop_share) / min(height, width)
    return round(height * scale), round(width * scale)


def resize(pixels: Array, width_px: int, height_px: int, options: Preprocessing) -> Array:
    """Resize HxWxC uint8; shrinking looks at all pixels when `options.antialias`."""
    height, width = pixels.shape[:2]
    if (height, width) == (height_px, width_px):
        return pixels
    if options.resize == "exact":
        return resize_exact(pixels, width_px, height_px, options.interpolation)
    if options.is_smooth:
        return resize_smooth(pixels, width_px, height_px, options.interpolation)
    shrinks = height_px < height or width_px < width
    chosen = "area" if shrinks and options.antialias else options.interpolation
    resized = cv2.resize(pixels, (width_px, height_px), interpolation=INTERPOLATIONS[chosen])
    return resized if resized.ndim == 3 else resized[:, :, None]


def resize_smooth(pixels: Array, width_px: int, height_px: int, interpolation: str) -> Array:
    """Resize HxWxC uint8 as Pillow does, antialiased, ``bilinear`` or ``bicubic``.

    PyTorch computes Pillow's filters with weights of 16 bits: of photographs 0.4 % of the values
    differ, by 1 or 2 of 255, in a fraction of the time that Pillow takes, or averaging by area in
    OpenCV. Greys are Pillow's own: PyTorch would make four channels of them.
    """
    if pixels.shape[2] == 1:
        return resize_exact(pixels, width_px, height_px, interpolation)
    import torch  # here, since ingestion of small images goes without

    # As a batch before its axes are changed: of one of (C, H, W), PyTorch would not see that its
    # channels lie last, and take three times as long.
    planes = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    size = (height_px, width_px)
    found = torch.nn.functional.interpolate(planes, size, mode=interpolation, antialias=True)
    return np.ascontiguousarray(found[0].permute(1, 2, 0).numpy())


def resize_exact(pixels: Array, width_px: int, height_px: int, interpolation: str) -> Array:
    """Resize HxWxC uint8, of 1, 3 or more channels, as Pillow does; it antialiases all but
    ``nearest``."""
    if pixels.shape[2] not in (1, 3):  # Pillow would weigh colours by the fourth, as opacity
        parts = [pixels[:, :, [channel]] for channel in range(pixels.shape[2])]
        found = [resize_exact(part, width_px, height_px, interpolation) for part in parts]
        return np.concatenate(found, axis=2)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    resized = np.asarray(image.resize((width_px, height_px), _PILLOW[interpolation]))
    return resized if resized.ndim == 3 else resized[:, :, None]


def view_of(pixels: Array, options: Preprocessing) -> Array:
    """Return the (size_px, size_px, channels) uint8 view of upright HxWxC uint8 pixels."""
    pixels = with_channels(pixels, options.channels)
    if options.fit == "squash":
        return resize(pixels, options.size_px, options.size_px, options)
    if options.fit == "letterbox":
        return _letterbox(pixels, options)
    if options.fit == "tiles":
        left, top = (-centred(pixels.shape[i], options.size_px) for i in (1, 0))
        return cut_square(pixels, left, top, options)
    return _centre_crop(pixels, options)


def with_channels(pixels: Array, channels: int) -> Array:
    """Return the pixels with 1, 3 or 4 channels; luma by ITU-R 601, alpha opaque when added."""
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if channels == 1:
        return cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_RGB2GRAY)[:, :, None]
    if found == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if channels == 3:
        return np.ascontiguousarray(pixels[:, :, :3])
    opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.concatenate([pixels[:, :, :3], opaque], axis=2)


def _centre_crop(pixels: Array, options: Preprocessing) -> Array:
    new_height, new_width = _fitted(pixels.shape, options)
    resized = resize(pixels, new_width, new_height, options)
    top, left = (new_height - options.size_px) // 2, (new_width - options.size_px) // 2
    return np.ascontiguousarray(resized[top : top + options.size_px, left : left + options.size_px])


def _letterbox(pixels: Array, options: Preprocessing) -> Array:
    new_height, new_width = _fitted(pixels.shape, options)
    canvas = _filled(options)
    top, left = (options.size_px - new_height) // 2, (options.size_px - new_width) // 2
    canvas[top : top + new_height, left : left + new_width] = resize(
        pixels, new_width, new_height, options
    )
    return canvas


def cut_square(pixels: Array, left: int, top: int, options: Preprocessing) -> Array:
    """The view whose corner lies at (left, top) of (H, W, C) pixels; the mean is beside them."""
    size = options.size_px
    part = pixels[max(top, 0) : top + size, max(left, 0) : left + size]
    if part.shape[:2] == (size, size):
        return np.ascontiguousarray(part)
    canvas = _filled(options)
    below, right = max(-top, 0), max(-left, 0)
    canvas[below : below + part.shape[0], right : right + part.shape[1]] = part
    return canvas


def _filled(options: Preprocessing) -> Array:
    """A view of nothing but the mean."""
    fill = np.array([round(255 * value) for value in options.mean], np.uint8)
    canvas = np.empty((options.size_px, options.size_px, options.channels), np.uint8)
    canvas[:] = fill[: options.channels]
    return canvas
