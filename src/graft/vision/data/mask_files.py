"""Mask files as masks of class numbers, by one rule per data set.

A file's values (grey, index, 16 bits, one bit) or colours (RGB, palette) are named by the rule;
a value that the rule does not name refuses the file, so no pixel is guessed. Palettes go by their
colours where the rule names all colours used, else by their indices; palettes of greys by whichever
the rule names, and are refused where it names both otherwise. Alpha must be opaque.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from graft.vision.data.decoding import FORMATS
from graft.vision.data.dicom import is_dicom, read_dicom_values
from graft.vision.data.masks import IGNORED
from graft.vision.data.polygons import draw_polygons
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array, digest_of

Colour = tuple[int, int, int]
_UNNAMED = -1
_MOST_NAMES = 255
_FEW_VALUES = 1 << 16


@dataclass(frozen=True)
class MaskRule:
    """How files become masks.

    ``classes``: values or colours name classes. ``instances``: each value but 0 is one object.
    ``polygons``: the file is text with polygons, drawn by name.
    """

    kind: Literal["classes", "instances", "polygons"]
    names: tuple[str, ...]
    """By mask number."""
    values: Mapping[int, int] = field(default_factory=dict)
    """From a file's value to a mask number; `IGNORED` where nobody judges."""
    colours: Mapping[Colour, int] = field(default_factory=dict)
    divisor: int = 0
    """Values from this on are class times divisor plus instance; 0 for none."""
    pages: Literal["refuse", "first", "classes"] = "refuse"
    """Files of several pages: refused, the first, or one page per class in the order of names."""
    truth: Literal["masks", "boxes"] = "masks"
    """What instances and polygons become."""

    @property
    def digest(self) -> str:
        """Identifies the rule: other digests, other masks."""
        record = {
            **self.__dict__,
            "values": sorted(self.values.items()),
            "colours": sorted(self.colours.items()),
        }
        return digest_of(record)


def read_mask(data: bytes, rule: MaskRule, max_pixels: int) -> Array:
    """(H, W) uint8 class numbers of a mask file, 255 where nobody judges.

    Raises:
        UnusableImageError: for whatever cannot be used; no other exception.
    """
    if rule.kind == "polygons":
        return draw_polygons(data, rule.names, max_pixels)
    pages = _pages(data, max_pixels, first=rule.pages == "first")
    if len(pages) > 1:
        return _from_pages(pages, rule)
    page = pages[0]
    if rule.kind == "instances":
        return (_values_of(page) != 0).astype(np.uint8)
    if page.colours is not None and rule.colours and _all_named(page.colours, rule.colours):
        return _mapped(_packed(page.colours), _packed_keys(rule.colours), "colours")
    if page.values is None or not rule.values:
        given = page.colours if page.colours is not None else page.values
        assert given is not None
        return _mapped(_packed(given), _packed_keys(rule.colours), "colours")
    values = page.values
    if rule.divisor:
        values = np.where(values >= rule.divisor, values // rule.divisor, values)
    if page.colours is not None and page.is_palette:
        greys = page.colours[:, :, 0].astype(np.int64)
        if (page.colours == greys[:, :, None]).all():
            return _from_grey_palette(values, greys, rule)
    return _mapped(values, rule.values, "values")


def _from_grey_palette(values: Array, greys: Array, rule: MaskRule) -> Array:
    """Indices or the greys they show, whichever the rule names; GIFs are renumbered when saved."""
    ways = [way for way in (values, greys) if np.isin(np.unique(way), list(rule.values)).all()]
    found = [_mapped(way, rule.values, "values") for way in ways or (values,)]
    if any((other != found[0]).any() for other in found):
        raise UnusableImageError(
            "a mask whose palette of greys can be read in two ways",
            mend="save it as PNG without a palette, or set ingestion.source.mask_values to binary "
            "where it is black and white",
        )
    return found[0]


def read_instances(data: bytes, rule: MaskRule, max_pixels: int) -> tuple[Array, int, int]:
    """Boxes (N, 4) around each value or colour but 0, and the width and height of the mask.

    Corners are whole pixels, right and bottom exclusive. Raises `UnusableImageError`.
    """
    from scipy.ndimage import find_objects

    pages = _pages(data, max_pixels, first=rule.pages == "first")
    if len(pages) > 1:
        raise _several_pages(len(pages))
    values = _values_of(pages[0])
    ids, places = np.unique(values, return_inverse=True)
    slices = find_objects(places.reshape(values.shape) + 1)
    boxes = [
        (found[1].start, found[0].start, found[1].stop, found[0].stop)
        for value, found in zip(ids, slices, strict=True)
        if value != 0 and found is not None
    ]
    height, width = values.shape
    return np.array(boxes, np.float64).reshape(-1, 4), width, height


def names_present(mask: Array, names: Sequence[str]) -> list[str]:
    """The classes that a mask holds, by number."""
    return [names[number] for number in np.unique(mask) if number != IGNORED]


def number_names(
    stated: Iterable[str], ignored: Iterable[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Number the classes that are judged, in the order stated; the others get `IGNORED`.

    Raises `UnusableImageError` when there are more than a mask of one byte can hold.
    """
    folded = {name.strip().lower() for name in ignored}
    judged = list(dict.fromkeys(n for n in stated if n.strip().lower() not in folded))
    if len(judged) > _MOST_NAMES:
        raise UnusableImageError(f"{len(judged)} classes", allowed=f"{_MOST_NAMES} in a mask")
    numbers = {name: number for number, name in enumerate(judged)}
    return tuple(judged), {name: numbers.get(name, IGNORED) for name in stated}


# --- pages ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Page:
    """``values`` (H, W) int64, ``colours`` (H, W, 3) uint8: what the file can be read as."""

    values: Array | None
    colours: Array | None
    is_palette: bool = False


def _pages(data: bytes, max_pixels: int, *, first: bool) -> list[_Page]:
    if not data:
        raise UnusableImageError("the mask is empty")
    if is_dicom(data):
        return [_page_of(frame) for frame in read_dicom_values(data, max_pixels, first=first)]
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _frames(image, max_pixels, first=first)
    except UnusableImageError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise UnusableImageError(
            f"a mask that cannot be decoded ({type(error).__name__}: {str(error)[:120]})"
        ) from error


def _frames(image: Image.Image, max_pixels: int, *, first: bool) -> list[_Page]:
    width, height = image.size
    count = 1 if first else int(getattr(image, "n_frames", 1))
    if width * height * count > max_pixels:
        raise UnusableImageError(
            "a mask of too many pixels",
            found=f"{width}x{height}, {count} pages",
            allowed=f"{max_pixels} in all",
        )
    pages = []
    for number in range(count):
        image.seek(number)
        image.load()
        pages.append(_page(image))
    return pages


def _page(image: Image.Image) -> _Page:
    mode = image.mode
    if mode == "P":
        colours = np.asarray(image.convert("RGB"))
        return _Page(np.asarray(image).astype(np.int64), colours, is_palette=True)
    if mode in ("1", "L") or mode.startswith("I"):
        values = np.asarray(image)
        scale = 255 if values.dtype == bool else 1
        return _Page(values.astype(np.int64) * scale, None)
    if mode in ("RGBA", "LA", "PA"):
        pixels = np.asarray(image.convert("RGBA"))
        if int(pixels[:, :, 3].min()) < 255:
            raise UnusableImageError("a mask with alpha; flatten it")
        return _page_of(pixels[:, :, :3])
    if mode == "RGB":
        return _page_of(np.asarray(image))
    raise UnusableImageError(f"a mask of mode {mode}", allowed="index, grey, palette or RGB")


def _page_of(pixels: Array) -> _Page:
    if pixels.ndim == 2:
        return _Page(pixels.astype(np.int64), None)
    grey = (pixels[:, :, :1] == pixels).all()
    return _Page(pixels[:, :, 0].astype(np.int64) if grey else None, pixels)


def _values_of(page: _Page) -> Array:
    if page.values is not None:
        return page.values
    assert page.colours is not None
    return _packed(page.colours)


def _several_pages(count: int) -> UnusableImageError:
    return UnusableImageError(
        f"a mask of {count} pages",
        mend="set ingestion.source.mask_pages to 'first', or to 'classes' where each page is one",
    )


def _from_pages(pages: list[_Page], rule: MaskRule) -> Array:
    """One page per class: what it marks. With one name more than pages, the first is the rest."""
    if rule.pages != "classes" or rule.kind != "classes":
        raise _several_pages(len(pages))
    rest = len(rule.names) - len(pages)
    if rest not in (0, 1):
        raise UnusableImageError(
            f"a mask of {len(pages)} pages for {len(rule.names)} classes",
            allowed="a page per class, or all but the first",
        )
    marked = np.stack([_values_of(page) != 0 for page in pages])
    if (marked.sum(0) > 1).any():
        raise UnusableImageError("a mask whose pages overlap", mend="give each pixel one class")
    unmarked = 0 if rest else IGNORED
    return np.where(marked.any(0), marked.argmax(0) + rest, unmarked).astype(np.uint8)


# --- values --------------------------------------------------------------------------------------


def _packed(colours: Array) -> Array:
    """Colours (H, W, 3) as one number each; grey (H, W) as the colour it shows."""
    if colours.ndim == 2:
        return colours.astype(np.int64) * 0x010101
    wide = colours.astype(np.int64)
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]


def _packed_keys(colours: Mapping[Colour, int]) -> dict[int, int]:
    return {(r << 16) | (g << 8) | b: number for (r, g, b), number in colours.items()}


def _all_named(colours: Array, named: Mapping[Colour, int]) -> bool:
    return bool(np.isin(np.unique(_packed(colours)), list(_packed_keys(named))).all())


def _mapped(values: Array, numbers: Mapping[int, int], what: str) -> Array:
    if int(values.min()) >= 0 and int(values.max()) < _FEW_VALUES:  # several times faster
        found, places = np.arange(int(values.max()) + 1), values
        used = np.bincount(values.ravel(), minlength=len(found)) > 0
    else:
        found, places = np.unique(values, return_inverse=True)
        used = np.ones(len(found), bool)
    table = np.array([numbers.get(int(value), _UNNAMED) for value in found], np.int64)
    unnamed = found[used & (table == _UNNAMED)]
    if len(unnamed):
        raise UnusableImageError(
            f"a mask with {what} that name no class ({_listed(unnamed, what)})",
            allowed=_listed(sorted(numbers), what),
            mend="name them in the class table, or list them in ingestion.source.ignored_values; "
            "where the mask was saved as JPEG, export it again as PNG",
        )
    return table[places].reshape(values.shape).astype(np.uint8)


def _listed(values: Iterable[int], what: str, most: int = 8) -> str:
    listed = [int(value) for value in values]
    texts = [
        f"{v >> 16}/{v >> 8 & 255}/{v & 255}" if what == "colours" else str(v)
        for v in listed[:most]
    ]
    return ", ".join(texts) + (f" and {len(listed) - most} more" if len(listed) > most else "")
