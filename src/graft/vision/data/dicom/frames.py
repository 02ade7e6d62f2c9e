"""One frame of a DICOM file, as it is stored: compressed ones unpacked, YBR turned to RGB."""

import io
from typing import TYPE_CHECKING

import numpy as np

from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

if TYPE_CHECKING:
    from pydicom import Dataset

_CONVERT = "convert the file to an uncompressed transfer syntax"


def frame_count(dataset: "Dataset") -> int:
    """How many frames the file holds. Raises `UnusableImageError` when that is no number."""
    try:
        return int(dataset.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        raise UnusableImageError("DICOM whose NumberOfFrames is no number") from None


def read_frame(
    dataset: "Dataset", options: DecodingOptions, notes: list[str], index: int = 0
) -> Array:
    """(H, W) or (H, W, 3) as stored. Raises `UnusableImageError`; notes are added to."""
    from pydicom.pixels import pixel_array

    frames = frame_count(dataset)
    if frames > 1 and options.frames == "refuse":
        raise UnusableImageError(
            "holds several frames", mend="set ingestion.decoding.frames to 'first' to use the first"
        )
    if frames > 1:
        notes.append("first of several frames")
    _refuse_syntax(dataset)
    _refuse_short_or_large(dataset, options, index)
    try:
        return np.asarray(pixel_array(dataset, index=index))
    except Exception as error:
        raise UnusableImageError(
            f"DICOM pixels in transfer syntax {_syntax(dataset)!r} that cannot be decoded "
            f"({type(error).__name__})",
            mend=_CONVERT,
        ) from None


def _syntax(dataset: "Dataset") -> str:
    return str(dataset.file_meta.TransferSyntaxUID.name)


def _refuse_syntax(dataset: "Dataset") -> None:
    from pydicom.pixels import get_decoder

    try:
        ready = get_decoder(dataset.file_meta.TransferSyntaxUID).is_available
    except NotImplementedError:
        ready = False
    if not ready:
        raise UnusableImageError(
            f"DICOM pixels in transfer syntax {_syntax(dataset)!r}, for which no decoder is "
            "installed",
            mend=f"{_CONVERT}, or install a plug-in of pydicom that decodes it",
        )


def _refuse_short_or_large(dataset: "Dataset", options: DecodingOptions, index: int) -> None:
    """Compare pixel data with the header: their length, or the size that they state themselves."""
    from PIL import Image
    from pydicom.encaps import get_frame
    from pydicom.pixels.utils import get_expected_length

    if "PixelData" not in dataset:
        return
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        found, expected = len(dataset.PixelData), get_expected_length(dataset)
        if found < expected:
            raise UnusableImageError(f"DICOM pixels cut short ({found} of {expected} bytes)")
        return
    frame = get_frame(dataset.PixelData, index, number_of_frames=frame_count(dataset))
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
            width, height = image.size
    except Exception:  # RLE, and what Pillow does not read: its decoder goes by the header
        return
    if width * height > options.max_pixels:
        raise UnusableImageError(
            "too many pixels", found=f"{width}x{height}", allowed=f"{options.max_pixels} in all"
        )
