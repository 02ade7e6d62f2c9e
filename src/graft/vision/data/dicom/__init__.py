"""DICOM by one rule: from a file's bytes to uint8 pixels, or a stated refusal.

- What counts as DICOM: the mark ``DICM`` after 128 bytes, or data elements from the first byte on.
- Grey: rescaled (slope and intercept, or the modality table) and windowed at full depth, then
  scaled to 0..255. The first stated window is taken (PS3.3 C.11.2.1.2: linear, exact, sigmoid),
  else the VOI table. Without either, or with a window in which nothing is seen, the full range: of
  the stored bits up to 8 bits, else the image's own least and greatest value, padding left out.
  Padding becomes black. MONOCHROME1 is inverted. One bit: 0 and 255.
- Colour: RGB as it is; YBR and palettes converted to RGB; more than 8 bits scaled from the image's
  own least and greatest value. Other colour spaces are refused.
- Several frames: refused, or the first with ``frames: first``. ``wide: refuse`` refuses more than
  8 stored bits.
- Pixel data in a transfer syntax whose decoder is not installed is refused by the syntax's name.

Nothing that a file says of a person leaves here: notes and reasons hold our own words and numbers.
"""

import numpy as np

from graft.vision.data.dicom.frames import frame_count, read_frame
from graft.vision.data.dicom.header import open_dataset
from graft.vision.data.dicom.shades import show_colour, show_grey
from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

__all__ = ["is_dicom", "may_be_dicom", "read_dicom", "read_dicom_values"]


def is_dicom(data: bytes) -> bool:
    """Whether the bytes carry DICOM's mark."""
    return data[128:132] == b"DICM"


def may_be_dicom(data: bytes) -> bool:
    """Whether bytes without the mark begin like a data element of DICOM's first groups."""
    return data[:2] in (b"\x02\x00", b"\x08\x00") or data[:2] == b"\x00\x08"


def read_dicom(data: bytes, options: DecodingOptions) -> tuple[Array, tuple[str, ...]]:
    """(H, W, 1 or 3) uint8 pixels of a DICOM file, and notes on what was done.

    Raises:
        UnusableImageError: for whatever cannot be used; no other exception.
    """
    notes: list[str] = []
    try:
        dataset = open_dataset(data, options, notes)
        raw = read_frame(dataset, options, notes)
        colour = raw.ndim == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR"
        pixels = (show_colour if colour else show_grey)(dataset, raw, options, notes)
    except UnusableImageError:
        raise
    except Exception as error:  # its words may tell of a person; only its kind is kept
        raise UnusableImageError(f"DICOM that cannot be read ({type(error).__name__})") from None
    return np.ascontiguousarray(pixels), tuple(notes)


def read_dicom_values(data: bytes, max_pixels: int, *, first: bool) -> list[Array]:
    """The frames of a DICOM mask as they are stored, each (H, W) or (H, W, 3).

    With ``first`` only the first of several. Raises `UnusableImageError` as `read_dicom` does.
    """
    options = DecodingOptions(max_pixels=max_pixels, frames="first")
    try:
        dataset = open_dataset(data, options, [])
        count = 1 if first else frame_count(dataset)
        if int(dataset.Rows) * int(dataset.Columns) * count > max_pixels:
            raise UnusableImageError("too many pixels", found=f"{count} frames")
        return [read_frame(dataset, options, [], index) for index in range(count)]
    except UnusableImageError:
        raise
    except Exception as error:
        raise UnusableImageError(f"DICOM that cannot be read ({type(error).__name__})") from None
