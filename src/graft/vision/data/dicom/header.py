"""What a DICOM file says before its pixels: found within bounds, and without a word of it told."""

import io
import logging
import warnings
import zlib
from typing import TYPE_CHECKING

from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError

if TYPE_CHECKING:
    from pydicom import Dataset

# Its warnings, like its log, repeat values of the header. Once: see the filter in `decoding`.
warnings.filterwarnings("ignore", module=r"pydicom\.")

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ENCAPSULATED = b"\xfe\xff\x00\xe0"
_PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_NEEDED = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")


def open_dataset(data: bytes, options: DecodingOptions, notes: list[str]) -> "Dataset":
    """The data set of a file that holds pixels of a size within bounds. Notes are added to.

    Raises `UnusableImageError`; and whatever pydicom raises on damaged files.
    """
    import pydicom

    # Its log and its checks repeat values of the header, names of people among them.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    _refuse_what_unpacks_too_large(data, options)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if not any(name in dataset for name in _PIXEL_ELEMENTS):
        kind = str(dataset.get("Modality") or "")
        kind = kind if kind.isalnum() and len(kind) <= 16 else "no modality stated"
        raise UnusableImageError(f"DICOM without pixel data ({kind})")
    missing = [name for name in _NEEDED if dataset.get(name) in (None, "")]
    if missing:
        raise UnusableImageError(f"DICOM without {missing[0]}", mend="export the image again")
    _refuse_size(dataset, options)
    _settle_syntax(dataset, notes)
    return dataset


def _refuse_what_unpacks_too_large(data: bytes, options: DecodingOptions) -> None:
    """A deflated file unpacks to a thousand times its size: asked first, within a bound."""
    if _DEFLATED not in data[132:2048]:
        return
    start = 144 + int.from_bytes(data[140:144], "little")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacker.decompress(data[start:], 8 * options.max_pixels)
    if unpacker.unconsumed_tail:
        raise UnusableImageError(
            "DICOM that unpacks to too much", allowed=f"{8 * options.max_pixels} bytes"
        )


def _refuse_size(dataset: "Dataset", options: DecodingOptions) -> None:
    height, width = int(dataset.Rows), int(dataset.Columns)
    if width * height > options.max_pixels:
        raise UnusableImageError(
            "too many pixels", found=f"{width}x{height}", allowed=f"{options.max_pixels} in all"
        )
    if min(width, height) < 1:
        raise UnusableImageError("no pixels", found=f"{width}x{height}")


def _settle_syntax(dataset: "Dataset", notes: list[str]) -> None:
    """Take the encoding in which the header was read where no transfer syntax is stated."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if meta.get("TransferSyntaxUID"):
        return
    if bytes(dataset.get("PixelData", b"")[:4]) == _ENCAPSULATED:
        raise UnusableImageError("DICOM with compressed pixels and no transfer syntax")
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    notes.append("DICOM transfer syntax inferred")
