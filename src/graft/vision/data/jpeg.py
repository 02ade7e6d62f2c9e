"""Plain JPEGs by libjpeg-turbo itself: Pillow's very pixels in less than two thirds of its time.

Pillow decodes with the same library and settings (accurate integer DCT, smooth upsampling of the
colours), by way of buffers of its own. What differs is how damage is met: `simplejpeg` is asked to
be strict, so that where the library as much as warns nothing is returned, and Pillow has the word,
and says what is refused and why.
"""

from importlib.util import find_spec

from PIL import Image

from graft.vision.records import Array

_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive DCT with Huffman codes (ITU-T T.81, table B.1)."""
_COLOURS = {"L": "GRAY", "RGB": "RGB"}
_IS_HERE = find_spec("simplejpeg") is not None


def reduction_of(image: Image.Image, short_side_px: int | None) -> int:
    """By how much a JPEG is reduced while it is decoded: 8, 4, 2 or 1.

    Its cosines are summed over fewer pixels (ITU-T T.81, A.3.3, at a smaller size), which saves a
    third of the time on large photographs. At least twice the side that is kept is left, so that
    how the image is reduced to it (`stored_size`) hardly depends on the kind of its file.
    """
    if image.format != "JPEG" or short_side_px is None:
        return 1
    sides = min(image.size) // (2 * short_side_px)
    return next((factor for factor in (8, 4, 2) if factor <= sides), 1)


def read_plain_jpeg(image: Image.Image, data: bytes, reduction: int = 1) -> Array | None:
    """(H, W, C) uint8 pixels of an opened, not yet loaded JPEG of 8-bit grey or colour.

    None for every other image, and wherever the file is not wholly sound.

    Args:
        reduction: of both sides (`reduction_of`); what is left of a pixel counts as one.
    """
    if not _IS_HERE or image.format != "JPEG" or image.mode not in _COLOURS:
        return None
    if _frame_of(data) not in _FRAMES:
        return None
    import simplejpeg

    height, width = (-(-side // reduction) for side in (image.height, image.width))
    try:
        pixels: Array = simplejpeg.decode_jpeg(
            data,
            _COLOURS[image.mode],
            min_height=height,
            min_width=width,
            min_factor=reduction,
            strict=True,
        )
    except ValueError:  # also for what it does not know: Pillow may
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def _frame_of(data: bytes) -> int:
    """The marker of the first frame; 0 where the segments before it are not in order."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA:  # fill bytes, markers alone, a scan
            return 0
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return 0
