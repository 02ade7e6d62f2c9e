"""From whatever Pillow has loaded to uint8 pixels (H, W, C), by the rule that `decoding` states.

Large arrays are worked on in bands of rows, so that a wide image takes no more memory than its
pixels and its result.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

GROUND = 128
WIDE_STEPS_MIN = 32
BAND_PIXELS = 1 << 18
_CONVERTED = ("CMYK", "YCbCr", "LAB", "HSV")


def to_uint8(image: Image.Image, wide: bool, options: DecodingOptions, notes: list[str]) -> Array:
    """Convert a loaded image; ``wide`` says that its file holds 16-bit colours."""
    if wide:
        return _wide_colour(image, options, notes)
    if image.mode.startswith(("I", "F")):
        return _wide_grey(image, options, notes)
    if image.mode in _CONVERTED:
        notes.append(f"converted from {image.mode}")
        return np.asarray(image.convert("RGB"))
    if "transparency" in image.info or image.mode not in ("1", "L", "RGB"):
        return _on_ground(np.asarray(image.convert("RGBA")), options, notes)
    if image.mode == "RGB":
        return np.asarray(image)
    return np.asarray(image.convert("L"))[:, :, None]


def is_wide_colour(image: Image.Image, data: bytes) -> bool:
    """Whether the file holds more than 8 bits per colour, of which Pillow keeps the upper 8 only.

    Asked before the image is loaded: a loaded one has forgotten it.
    """
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA", "CMYK"):
        return False
    if image.format == "JPEG2000":
        return _bits_of_jpeg2000(data) > 8
    for tile in getattr(image, "tile", ()):
        form, *more = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if ";16" in str(form) or (tile.codec_name == "ppm" and more and more[0] > 255):
            return True
    return False


def _bits_of_jpeg2000(data: bytes) -> int:
    """The most bits of any component, from the SIZ segment (ISO/IEC 15444-1, A.5.1)."""
    start = data.find(b"\xff\x4f\xff\x51")
    count = int.from_bytes(data[start + 40 : start + 42], "big")
    return max((bits & 0x7F) + 1 for bits in data[start + 42 : start + 42 + 3 * count : 3])


def bands(pixels: Array) -> Iterator[slice]:
    """Slices of rows, of about `BAND_PIXELS` pixels each."""
    height, width = pixels.shape[:2]
    rows = max(1, BAND_PIXELS // width)
    return (slice(top, top + rows) for top in range(0, height, rows))


def _on_ground(pixels: Array, options: DecodingOptions, notes: list[str]) -> Array:
    """Lay RGBA pixels on mid-grey, unless four channels are asked for."""
    if options.channels == 4:
        return pixels
    alpha = pixels[:, :, 3:]
    if int(alpha.min()) == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    notes.append("alpha laid on grey")
    laid = np.empty((*pixels.shape[:2], 3), np.uint8)
    for rows in bands(pixels):
        weight = alpha[rows].astype(np.uint16)
        mixed = pixels[rows, :, :3] * weight + GROUND * (255 - weight) + 127
        laid[rows] = mixed // 255
    return laid


def _wide_colour(image: Image.Image, options: DecodingOptions, notes: list[str]) -> Array:
    """Scale the upper 8 bits that Pillow keeps: unscaled, a 12-bit picture would be nearly black.

    Nothing here reads all 16 safely: OpenCV does, and crashes on damaged PNGs.
    """
    if options.wide == "refuse":
        raise UnusableImageError(f"more than 8 bits per channel (mode {image.mode})")
    inks = image.mode == "CMYK"
    pixels = np.asarray(image if inks else image.convert("RGBA"))
    colours = pixels if inks else pixels[:, :, :3]
    low, high = _range_of(colours)
    if high - low < WIDE_STEPS_MIN:
        raise UnusableImageError(
            "colours of 16 bits, of which the upper 8 tell too little",
            found=f"{high - low:g} steps",
            allowed=f"{WIDE_STEPS_MIN} or more",
            mend="convert the file to 8 bits per channel",
        )
    if inks:
        notes.append("converted from CMYK;16")
        return np.asarray(image.convert("RGB"))
    notes.append(f"upper 8 bits of {image.mode};16 scaled from {low:g}..{high:g}")
    scaled = _stretched(colours, low, high)
    return _on_ground(np.dstack([scaled, pixels[:, :, 3:]]), options, notes)


def _wide_grey(image: Image.Image, options: DecodingOptions, notes: list[str]) -> Array:
    """Scale one channel of integers or floats; a value declared transparent counts for nothing."""
    if options.wide == "refuse":
        raise UnusableImageError(f"more than 8 bits per channel (mode {image.mode})")
    values, clear = np.asarray(image), image.info.get("transparency")
    hidden = values == clear if isinstance(clear, int) else np.zeros((), bool)
    if hidden.all():
        raise UnusableImageError("is transparent everywhere")
    low, high = _range_of(values[~hidden] if hidden.any() else values)
    notes.append(f"{image.mode} scaled from {low:g}..{high:g}")
    grey = _stretched(values, low, high)[:, :, None]
    if not hidden.any():
        return grey
    alpha = np.where(hidden, np.uint8(0), np.uint8(255))[:, :, None]
    return _on_ground(np.concatenate([grey, grey, grey, alpha], axis=2), options, notes)


def _range_of(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise UnusableImageError("holds values that are not finite")
    if low == high:
        raise UnusableImageError(f"is constant ({low:g} everywhere), so its scale is unknown")
    return low, high


def _stretched(values: Array, low: float, high: float) -> Array:
    """From low..high to 0..255; what lies beyond is clipped."""
    stretched = np.empty(values.shape, np.uint8)
    for rows in bands(values):
        scaled = (values[rows].astype(np.float64) - low) * (255 / (high - low))
        stretched[rows] = np.round(scaled).clip(0, 255)
    return stretched
