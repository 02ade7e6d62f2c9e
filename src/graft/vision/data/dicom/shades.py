"""From a DICOM frame's stored values to what is seen: uint8 grey or RGB.

Values are rescaled and windowed as floats, band by band of rows, so that a large frame takes little
more memory than its stored values and its pixels.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graft.vision.data.conversion import bands
from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

if TYPE_CHECKING:
    from pydicom import Dataset


def show_colour(
    dataset: "Dataset", raw: Array, options: DecodingOptions, notes: list[str]
) -> Array:
    """(H, W, 3) uint8 of RGB or palette indices. Raises `UnusableImageError`."""
    from pydicom.pixels import apply_color_lut

    space = str(dataset.PhotometricInterpretation)
    if space == "PALETTE COLOR":
        pixels = apply_color_lut(raw, dataset)[:, :, :3]
        if _is_big_endian(dataset) and "RedPaletteColorLookupTableData" in dataset:
            pixels = pixels.byteswap()  # pydicom reads these tables as little-endian always
        notes.append("DICOM palette")
        bits = 8 * pixels.dtype.itemsize
        return (pixels >> (bits - 8)).astype(np.uint8)
    if space != "RGB" and not space.startswith("YBR"):
        raise UnusableImageError(f"DICOM in colour space {space[:16]!r}", allowed="RGB, YBR")
    if space != "RGB":
        notes.append(f"converted from {space[:16]}")
    bits = _stored_bits(dataset, options)
    low, high = 0.0, 2.0**bits - 1
    if bits > 8:
        low, high = _own_range(float(raw.min()), float(raw.max()))
        notes.append(f"DICOM of {bits} bits scaled from {low:g}..{high:g}")
    return _banded(raw, lambda part: _scaled(part.astype(np.float64), low, high))


def _is_big_endian(dataset: "Dataset") -> bool:
    return not dataset.file_meta.TransferSyntaxUID.is_little_endian


def show_grey(dataset: "Dataset", raw: Array, options: DecodingOptions, notes: list[str]) -> Array:
    """(H, W, 1) uint8 of stored grey values. Raises `UnusableImageError`."""
    space = str(dataset.PhotometricInterpretation)
    if space not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnusableImageError(f"DICOM of one channel in colour space {space[:16]!r}")
    bits = _stored_bits(dataset, options)
    if bits == 1:
        pixels = (raw > 0).astype(np.uint8) * 255
        padded = None
    else:
        padded = _padding(dataset, raw)
        pixels = _shown(dataset, raw, padded, bits, notes)
    if space == "MONOCHROME1":
        notes.append("DICOM MONOCHROME1 inverted")
        pixels = 255 - pixels
    if padded is not None:
        notes.append("DICOM padding made black")
        pixels = np.where(padded, 0, pixels).astype(np.uint8)
    return pixels[:, :, None]


def _stored_bits(dataset: "Dataset", options: DecodingOptions) -> int:
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if "PixelData" not in dataset:  # floats
        bits = int(dataset.BitsAllocated)
    if bits > 8 and options.wide == "refuse":
        raise UnusableImageError(f"more than 8 bits per channel (DICOM, {bits} bits)")
    return bits


def _padding(dataset: "Dataset", raw: Array) -> Array | None:
    """(H, W) bool: pixels outside of what was scanned; None where there are none."""
    low = dataset.get("PixelPaddingValue")
    if low is None or not np.isscalar(low):
        return None
    high = dataset.get("PixelPaddingRangeLimit", low)
    found = (raw >= min(low, high)) & (raw <= max(low, high))
    return found if found.any() and not found.all() else None


def _rescaled(dataset: "Dataset", raw: Array) -> Array:
    from pydicom.pixels import apply_modality_lut

    for name in ("ModalityLUTSequence", "RescaleSlope"):
        holder = _holder(dataset, name, "PixelValueTransformationSequence")
        if holder is not None:
            return np.asarray(apply_modality_lut(raw, holder), np.float64)
    return raw.astype(np.float64)


def _holder(dataset: "Dataset", name: str, group: str) -> Any:
    """The part of the header that holds an element: its top, or the first frame's own part."""
    if dataset.get(name) not in (None, ""):
        return dataset
    for sequence in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for item in list(dataset.get(sequence) or ())[:1]:
            for part in list(item.get(group) or ())[:1]:
                if part.get(name) not in (None, ""):
                    return part
    return None


def _shown(
    dataset: "Dataset", raw: Array, padded: Array | None, bits: int, notes: list[str]
) -> Array:
    low, high = _range_of(dataset, raw, padded)
    shade = _window(dataset, notes)
    if shade is not None:
        shown = _banded(raw, lambda part: shade(_rescaled(dataset, part)))
        inside = shown if padded is None else shown[~padded]
        if inside.min() < inside.max() or low == high:
            return shown
        notes.append("DICOM window in which nothing is seen, not used")
    signed = int(dataset.get("PixelRepresentation") or 0)
    if bits < 8 or (bits == 8 and not signed):
        ends = np.array([[0, 2**bits - 1]], np.int64)
        least, most = sorted(float(end) for end in _rescaled(dataset, ends).ravel())
        if least < most:
            return _banded(raw, lambda part: _scaled(_rescaled(dataset, part), least, most))
    low, high = _own_range(low, high)
    notes.append(f"DICOM of {bits} bits scaled from {low:g}..{high:g}")
    return _banded(raw, lambda part: _scaled(_rescaled(dataset, part), low, high))


def _banded(raw: Array, shade: Callable[[Array], Array]) -> Array:
    """(H, W, ...) uint8: what ``shade`` makes of each band of rows."""
    shown = np.empty(raw.shape, np.uint8)
    for rows in bands(raw):
        shown[rows] = shade(raw[rows])
    return shown


def _range_of(dataset: "Dataset", raw: Array, padded: Array | None) -> tuple[float, float]:
    """The least and the greatest rescaled value that is no padding; NaN where one is."""
    ends = []
    for rows in bands(raw):
        values = _rescaled(dataset, raw[rows])
        seen = values if padded is None else values[~padded[rows]]
        ends += [float(seen.min()), float(seen.max())] if seen.size else []
    return float(np.min(ends)), float(np.max(ends))


def _window(dataset: "Dataset", notes: list[str]) -> Callable[[Array], Array] | None:
    """What makes uint8 of rescaled values, by the first window or the VOI table; None for none."""
    from pydicom.pixels import apply_voi

    holder = _holder(dataset, "WindowWidth", "FrameVOILUTSequence")
    centre, width = (_first(holder, name) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None and width > 0:
        function = str(holder.get("VOILUTFunction") or "LINEAR")
        notes.append(f"DICOM window from {centre - width / 2:g}..{centre + width / 2:g}")
        return lambda values: np.round(
            255 * np.clip(_share(values, centre, width, function), 0, 1)
        ).astype(np.uint8)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        notes.append("DICOM VOI table")
        return lambda values: _scaled(
            np.asarray(apply_voi(np.round(values).astype(np.int64), dataset, index=0), np.float64),
            0,
            2**bits - 1,
        )
    return None


def _first(holder: Any, name: str) -> float | None:
    """The first of an element's numbers; None where there is none."""
    value = None if holder is None else holder.get(name)
    if value is None or isinstance(value, str):
        return None
    number = float(value[0] if hasattr(value, "__len__") and len(value) else value)
    return number if np.isfinite(number) else None


def _share(values: Array, centre: float, width: float, function: str) -> Array:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3, from 0 to 1 before they are cut off."""
    if function == "SIGMOID":
        share: Array = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60)))
        return share
    if function == "LINEAR_EXACT" or width <= 1:
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _own_range(low: float, high: float) -> tuple[float, float]:
    """The ends of a scale. Raises `UnusableImageError` where they are none."""
    if not np.isfinite([low, high]).all():
        raise UnusableImageError("holds values that are not finite")
    if low == high:
        raise UnusableImageError(f"is constant ({low:g} everywhere), so its scale is unknown")
    return low, high


def _scaled(values: Array, low: float, high: float) -> Array:
    return np.round((np.clip(values, low, high) - low) * (255 / (high - low))).astype(np.uint8)
