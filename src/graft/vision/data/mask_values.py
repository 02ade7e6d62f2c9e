"""What the pixels of a mask file stand for, told band by band of rows.

So a mask takes little more memory than its pixels, however many values or colours it holds.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from graft.vision.data.conversion import bands
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

Colour = tuple[int, int, int]
OBJECTS_MAX = 10_000
_UNNAMED = -1
_FEW_VALUES = 1 << 16


def values_in(pixels: Array) -> Array:
    """The values of (H, W), or the colours of (H, W, 3) as 0xRRGGBB; each once, ascending."""
    found = np.zeros(0, np.int64)
    for rows in bands(pixels):
        found = np.union1d(found, _keys(pixels[rows]))
    return found


def all_named(colours: Array, named: Mapping[Colour, int]) -> bool:
    """Whether each colour of (H, W, 3) has a number."""
    return bool(np.isin(values_in(colours), list(_packed(named))).all())


def numbered_values(values: Array, numbers: Mapping[int, int], divisor: int = 0) -> Array:
    """(H, W) uint8 numbers of (H, W) values.

    Args:
        values: of the file.
        numbers: by value.
        divisor: values from this on are class times divisor plus instance; 0 for none.

    Raises:
        UnusableImageError: naming the values that have no number.
    """
    return _numbered(values, numbers, "values", divisor)


def numbered_colours(pixels: Array, numbers: Mapping[Colour, int]) -> Array:
    """(H, W) uint8 numbers of colours (H, W, 3), or of the colours that greys (H, W) show.

    Raises `UnusableImageError`, naming the colours that have no number.
    """
    if pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
    return _numbered(pixels, _packed(numbers), "colours")


def boxes_around(pixels: Array) -> Array:
    """(N, 4) boxes around each value or colour but 0, ascending.

    Corners are whole pixels, right and bottom exclusive. Raises `UnusableImageError` for more than
    `OBJECTS_MAX`: a photograph, or a mask whose values were blended.
    """
    from scipy.ndimage import find_objects

    found: dict[int, Array] = {}
    for rows in bands(pixels):
        keys = _keys(pixels[rows])
        values, places = np.unique(keys, return_inverse=True)
        if len(found.keys() | set(values.tolist())) > OBJECTS_MAX:
            raise UnusableImageError(
                f"an instance mask of more than {OBJECTS_MAX} values",
                mend="where it was resized or saved as JPEG, export it again as PNG",
            )
        slices = find_objects(places.reshape(keys.shape).astype(np.int32) + 1)
        for value, (ys, xs) in zip(values.tolist(), slices, strict=True):
            box = np.array([xs.start, ys.start + rows.start, xs.stop, ys.stop + rows.start])
            other = found.get(value, box)
            found[value] = np.r_[np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])]
    boxes = [found[value] for value in sorted(found) if value != 0]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _keys(pixels: Array) -> Array:
    """Values as they are; colours as one number each."""
    if pixels.ndim == 2:
        return pixels
    wide = pixels.astype(np.int64)
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]


def _packed(colours: Mapping[Colour, int]) -> dict[int, int]:
    return {(r << 16) | (g << 8) | b: number for (r, g, b), number in colours.items()}


def _numbered(pixels: Array, numbers: Mapping[int, int], what: str, divisor: int = 0) -> Array:
    mask = np.empty(pixels.shape[:2], np.uint8)
    unnamed = np.zeros(0, np.int64)
    known = np.array(sorted(numbers), np.int64)
    codes = np.array([numbers[value] for value in known.tolist()], np.int16)
    small = _table(known, codes)
    for rows in bands(pixels):
        keys = _keys(pixels[rows])
        if divisor:
            keys = keys.astype(np.int64)
            keys = np.where(keys >= divisor, keys // divisor, keys)
        if int(keys.min()) >= 0 and int(keys.max()) < _FEW_VALUES:  # several times faster
            given = small[keys]
        else:
            given = _looked_up(keys, known, codes)
        missing = given == _UNNAMED
        if missing.any():
            unnamed = np.union1d(unnamed, keys[missing])
        mask[rows] = given.astype(np.uint8)
    if len(unnamed):
        raise UnusableImageError(
            f"a mask with {what} that name no class ({_listed(unnamed, what)})",
            allowed=_listed(sorted(numbers), what),
            mend="name them in the class table, or list them in ingestion.source.ignored_values; "
            "where the mask was saved as JPEG, export it again as PNG",
        )
    return mask


def _table(known: Array, codes: Array) -> Array:
    """The number of each small value, `_UNNAMED` where it has none."""
    table = np.full(_FEW_VALUES, _UNNAMED, np.int16)
    small = (known >= 0) & (known < _FEW_VALUES)
    table[known[small]] = codes[small]
    return table


def _looked_up(keys: Array, known: Array, codes: Array) -> Array:
    if not len(known):
        return np.full(keys.shape, _UNNAMED, np.int16)
    places = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[places] == keys, codes[places], np.int16(_UNNAMED))


def _listed(values: Iterable[int], what: str, most: int = 8) -> str:
    listed = [int(value) for value in values]
    texts = [
        f"{v >> 16}/{v >> 8 & 255}/{v & 255}" if what == "colours" else str(v)
        for v in listed[:most]
    ]
    return ", ".join(texts) + (f" and {len(listed) - most} more" if len(listed) > most else "")
