"""One decoder for everything: from a file's bytes to upright uint8 pixels, or a stated refusal.

The rule, by what the file holds:

- 8-bit grey, RGB: as they are. Palette: its colours. One bit: 0 and 255.
- alpha, and palette entries declared transparent: laid on mid-grey (128), which is neither of the
  two grounds that a model may have learned; with ``channels: 4`` the alpha is kept.
- CMYK, YCbCr, LAB, HSV: converted to sRGB by Pillow's plain formulas, noted.
- 16-bit and 32-bit integers, floats: scaled from the image's own least and greatest value to
  0..255, noted; a constant image is refused, and so is one with values that are not finite.
  ``wide: refuse`` refuses them all. Of 16-bit colours the upper 8 bits are scaled, and refused
  where those hold fewer than 32 steps.
- several frames: refused, or the first with ``frames: first``.
- DICOM: by the rule in `dicom`.
- EXIF orientation 2 to 8: applied. Other values: ignored and noted.
- larger than ``short_side_px``: reduced by area averaging, so that stores stay small.

Never more than ``max_pixels`` are decoded: the header is asked first.
"""

import io
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from graft.vision.data.dicom import is_dicom, may_be_dicom, read_dicom
from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.preprocessing import with_channels
from graft.vision.records import Array

__all__ = ["Decoded", "DecodingOptions", "decode"]

# Once, not around each decode: `catch_warnings` in threads leaves the filters of others changed.
warnings.filterwarnings("ignore", module=r"PIL\.")

GROUND = 128
WIDE_STEPS_MIN = 32
# Formats of photographs and scans. Others (EPS, PDF, game textures) need outside programs or odd
# amounts of memory, and are refused unread. MPO opens as JPEG; named here, Pillow knows no opener.
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "DIB",
    "GIF",
    "TIFF",
    "WEBP",
    "PPM",
    "JPEG2000",
    "TGA",
    "AVIF",
)
_CONVERTED = ("CMYK", "YCbCr", "LAB", "HSV")
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """Pixels (H, W, C) uint8, upright and reduced; size and channels of the upright original."""

    pixels: Array
    width: int
    height: int
    channels: int
    notes: tuple[str, ...]


def decode(data: bytes, options: DecodingOptions) -> Decoded:
    """Decode one image file completely.

    Raises:
        UnusableImageError: for whatever cannot be used, with the reason; no other exception.
    """
    if not data:
        raise UnusableImageError("the file is empty")
    if is_dicom(data):
        return _decode_dicom(data, options)
    try:
        return _decode(data, options)
    except UnusableImageError:
        raise
    except UnidentifiedImageError as error:
        if may_be_dicom(data):
            return _decode_dicom(data, options)
        raise UnusableImageError(
            f"not an image that can be read (starts with {data[:8]!r})"
        ) from error
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise UnusableImageError(
            f"cannot be decoded ({type(error).__name__}: {str(error)[:120]})"
        ) from error


def _decode(data: bytes, options: DecodingOptions) -> Decoded:
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_what_is_too_large(image, options)
        _refuse_frames(image, options, notes)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        wide = _is_wide_colour(image)  # asked first: a loaded image has forgotten it
        # Before EXIF is read: a PNG loads itself for it, and its damage would pass for bad EXIF; a
        # TIFF turns itself while it loads, and would be turned twice.
        image.load()
        orientation = _orientation(image, notes)
        bands = _channels_of(image)
        _refuse_what_is_too_large(image, options)
        pixels = _wide_colour(image, options, notes) if wide else _to_uint8(image, options, notes)
    if orientation in _TRANSPOSED:
        pixels = _upright(pixels, orientation)
        notes.append(f"exif orientation {orientation}")
    height, width = pixels.shape[:2]
    pixels = with_channels(_reduce(pixels, options.short_side_px), options.channels)
    return Decoded(np.ascontiguousarray(pixels), width, height, bands, tuple(notes))


def _decode_dicom(data: bytes, options: DecodingOptions) -> Decoded:
    pixels, notes = read_dicom(data, options)
    height, width, bands = pixels.shape
    pixels = with_channels(_reduce(pixels, options.short_side_px), options.channels)
    return Decoded(np.ascontiguousarray(pixels), width, height, bands, notes)


def _refuse_what_is_too_large(image: Image.Image, options: DecodingOptions) -> None:
    width, height = image.size
    if width * height > options.max_pixels:
        raise UnusableImageError(
            "too many pixels", found=f"{width}x{height}", allowed=f"{options.max_pixels} in all"
        )
    if min(width, height) < 1:
        raise UnusableImageError("no pixels", found=f"{width}x{height}")


def _refuse_frames(image: Image.Image, options: DecodingOptions, notes: list[str]) -> None:
    if not getattr(image, "is_animated", False):
        return
    if options.frames == "refuse":
        raise UnusableImageError(
            "holds several frames", mend="set ingestion.decoding.frames to 'first' to use the first"
        )
    notes.append("first of several frames")


def _orientation(image: Image.Image, notes: list[str]) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # EXIF blocks are damaged in many ways; the pixels may be sound
        notes.append(f"exif unreadable ({type(error).__name__})")
        return 1
    if value not in range(1, 9):
        notes.append(f"exif orientation {value!r} ignored")
        return 1
    return int(value)


def _channels_of(image: Image.Image) -> int:
    bands = len(image.getbands())
    if image.mode in ("P", "PA"):
        return 4 if "transparency" in image.info or image.mode == "PA" else 3
    return {1: 1, 2: 4}.get(bands, min(bands, 4))


def _to_uint8(image: Image.Image, options: DecodingOptions, notes: list[str]) -> Array:
    if image.mode in ("1", "L"):
        if "transparency" in image.info:
            return _on_ground(np.asarray(image.convert("RGBA")), options, notes)
        return np.asarray(image.convert("L"))[:, :, None]
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode in _CONVERTED:
        notes.append(f"converted from {image.mode}")
        return np.asarray(image.convert("RGB"))
    if image.mode.startswith(("I", "F")):
        return _scaled(image, options, notes)
    return _on_ground(np.asarray(image.convert("RGBA")), options, notes)


def _on_ground(pixels: Array, options: DecodingOptions, notes: list[str]) -> Array:
    alpha = pixels[:, :, 3:]
    if options.channels == 4:
        return pixels
    if int(alpha.min()) == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    notes.append("alpha laid on grey")
    weight = alpha.astype(np.uint16)
    mixed = pixels[:, :, :3] * weight + GROUND * (255 - weight) + 127
    return (mixed // 255).astype(np.uint8)


def _is_wide_colour(image: Image.Image) -> bool:
    """Whether the file holds 16 bits per colour channel, of which Pillow keeps the upper 8 only."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    for tile in getattr(image, "tile", ()):
        form, *more = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if ";16" in str(form) or (tile.codec_name == "ppm" and more and more[0] > 255):
            return True
    return False


def _wide_colour(image: Image.Image, options: DecodingOptions, notes: list[str]) -> Array:
    """Scale the upper 8 bits that Pillow keeps: unscaled, a 12-bit picture would be nearly black.

    Nothing here reads all 16 safely: OpenCV does, and crashes on damaged PNGs.
    """
    if options.wide == "refuse":
        raise UnusableImageError(f"more than 8 bits per channel (mode {image.mode})")
    pixels = np.asarray(image.convert("RGBA"))
    colours = pixels[:, :, :3]
    steps = int(colours.max()) - int(colours.min())
    if 0 < steps < WIDE_STEPS_MIN:
        raise UnusableImageError(
            "colours of 16 bits, of which the upper 8 tell too little",
            found=f"{steps} steps",
            allowed=f"{WIDE_STEPS_MIN} or more",
            mend="convert the file to 8 bits per channel",
        )
    scaled = _stretched(colours, f"upper 8 bits of {image.mode};16", notes)
    return _on_ground(np.dstack([scaled, pixels[:, :, 3:]]), options, notes)


def _scaled(image: Image.Image, options: DecodingOptions, notes: list[str]) -> Array:
    if options.wide == "refuse":
        raise UnusableImageError(f"more than 8 bits per channel (mode {image.mode})")
    return _stretched(np.asarray(image), image.mode, notes)[:, :, None]


def _stretched(wide: Array, mode: str, notes: list[str]) -> Array:
    """From the image's own least and greatest value to 0..255."""
    values = wide.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnusableImageError("holds values that are not finite")
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise UnusableImageError(f"is constant ({low:g} everywhere), so its scale is unknown")
    notes.append(f"{mode} scaled from {low:g}..{high:g}")
    return np.round((values - low) * (255 / (high - low))).astype(np.uint8)


def _upright(pixels: Array, orientation: int) -> Array:
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    turned = np.asarray(Image.fromarray(flat).transpose(_TRANSPOSED[orientation]))
    return turned if turned.ndim == 3 else turned[:, :, None]


def _reduce(pixels: Array, short_side_px: int | None) -> Array:
    height, width = pixels.shape[:2]
    if short_side_px is None or min(height, width) <= short_side_px:
        return pixels
    scale = short_side_px / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    return reduced if reduced.ndim == 3 else reduced[:, :, None]
