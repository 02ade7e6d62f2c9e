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
- fax-compressed TIFF: as it decodes, noted, since its reader turns damage into white.
- several frames: refused, or the first with ``frames: first``.
- DICOM: by the rule in `dicom`.
- EXIF orientation 2 to 8: applied. Other values: ignored and noted.
- larger than ``short_side_px`` by more than a quarter: reduced to it (`stored_size`), so that
  stores stay small, by the antialiased bicubic filter of most views: what is scaled twice by it
  lies nearer to what is scaled once than after averaging by area. Large JPEGs are reduced in part
  while they are decoded.

Never more than ``max_pixels`` are decoded: the header is asked first. Refused are also sides of
more than 50 to 1, of which no square view can be made, and files that take far more work or memory
than their pixels: JPEGs of more than 100 scans, TIFFs whose tiles are much larger than the image.
"""

import io
import re
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from graft.vision.data.conversion import is_wide_colour, to_uint8
from graft.vision.data.dicom import is_dicom, may_be_dicom, read_dicom
from graft.vision.data.jpeg import read_plain_jpeg, reduction_of
from graft.vision.data.options import DecodingOptions, stored_size
from graft.vision.errors import UnusableImageError
from graft.vision.preprocessing import resize_smooth, with_channels
from graft.vision.records import Array

__all__ = ["Decoded", "DecodingOptions", "decode"]

# Once, not around each decode: `catch_warnings` in threads leaves the filters of others changed.
warnings.filterwarnings("ignore", module=r"PIL\.")

ASPECT_MAX = 50
SCANS_MAX = 100
_SCAN = re.compile(b"\xff\xda")
TILE_PIXELS_MAX = 1 << 24
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
    except Image.DecompressionBombError as error:  # states even more than Pillow itself allows
        found = re.search(r"\d+", str(error))
        raise UnusableImageError(
            "too many pixels", found=found and found[0], allowed=f"{options.max_pixels} in all"
        ) from error
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
        _refuse_sizes(image, options)
        refuse_hidden_work(image, data)
        _refuse_frames(image, options, notes)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        wide = is_wide_colour(image, data)
        if image.info.get("compression") in ("tiff_ccitt", "group3", "group4"):
            notes.append("fax compression hides damage")
        width, height = image.size
        reduction = reduction_of(image, options.short_side_px)
        pixels = read_plain_jpeg(image, data, reduction)
        if pixels is None:
            if reduction > 1:
                image.draft(None, (width // reduction, height // reduction))
            # Before EXIF is read: a PNG loads itself for it, and its damage would pass for bad
            # EXIF; a TIFF turns itself while it loads, and would be turned twice.
            image.load()
        orientation = _orientation(image, notes)
        bands = _channels_of(image)
        if reduction == 1:  # else the size is that of a part
            _refuse_sizes(image, options)
            width, height = image.size
        if pixels is None:
            pixels = to_uint8(image, wide, options, notes)
    if orientation in _TRANSPOSED:
        pixels = _upright(pixels, orientation)
        notes.append(f"exif orientation {orientation}")
        width, height = (height, width) if orientation >= 5 else (width, height)
    return _decoded(pixels, width, height, bands, tuple(notes), options)


def _decode_dicom(data: bytes, options: DecodingOptions) -> Decoded:
    pixels, notes = read_dicom(data, options)
    height, width, bands = pixels.shape
    return _decoded(pixels, width, height, bands, notes, options)


def _refuse_sizes(image: Image.Image, options: DecodingOptions) -> None:
    width, height = image.size
    found = f"{width}x{height}"
    if width * height > options.max_pixels:
        raise UnusableImageError(
            "too many pixels", found=found, allowed=f"{options.max_pixels} in all"
        )
    if min(width, height) < 1:
        raise UnusableImageError("no pixels", found=found)
    if max(width, height) > ASPECT_MAX * min(width, height):
        raise UnusableImageError(
            "too oblong for a square view", found=found, allowed=f"{ASPECT_MAX} to 1"
        )


def refuse_hidden_work(image: Image.Image, data: bytes) -> None:
    """Raise `UnusableImageError` for a file that takes far more work or memory than its pixels.

    Each scan of a JPEG goes over all of it; a tile of a TIFF is decoded whole.
    """
    if image.format in ("JPEG", "MPO") and (scans := len(_SCAN.findall(data))) > SCANS_MAX:
        raise UnusableImageError("too many scans", found=scans, allowed=SCANS_MAX)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tile_px = image.tag_v2.get(322, 0) * image.tag_v2.get(323, 0)
        if tile_px > max(TILE_PIXELS_MAX, 4 * image.width * image.height):
            raise UnusableImageError("tiles far larger than the image", found=f"{tile_px} pixels")


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
    return {1: 1, 2: 4}.get(bands, 3 if image.mode == "RGBX" else min(bands, 4))


def _upright(pixels: Array, orientation: int) -> Array:
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    turned = np.asarray(Image.fromarray(flat).transpose(_TRANSPOSED[orientation]))
    return turned if turned.ndim == 3 else turned[:, :, None]


def _decoded(
    pixels: Array,
    width: int,
    height: int,
    bands: int,
    notes: tuple[str, ...],
    options: DecodingOptions,
) -> Decoded:
    """Reduce upright pixels of an original of this size, of which they may be a part."""
    wide, high = stored_size(width, height, options.short_side_px)
    if pixels.shape[:2] != (high, wide):
        pixels = resize_smooth(pixels, wide, high, "bicubic")
    pixels = with_channels(pixels, options.channels)
    return Decoded(np.ascontiguousarray(pixels), width, height, bands, notes)
