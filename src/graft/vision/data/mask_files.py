"""Mask files as masks of class numbers, by one rule per data set.

A file's values (grey, index, 16 bits, one bit) or colours (RGB, palette) are named by the rule;
a value that the rule does not name refuses the file, so no pixel is guessed. Palettes go by their
colours where the rule names all colours used, else by their indices; palettes of greys by whichever
the rule names, and are refused where it names both otherwise. Alpha must be opaque. Instances in
JPEG are refused: it blends values, and each blend would be an object.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image, TiffImagePlugin

from graft.vision.data.decoding import FORMATS, refuse_hidden_work
from graft.vision.data.dicom import is_dicom, read_dicom_values
from graft.vision.data.mask_values import (
    Colour,
    all_named,
    boxes_around,
    numbered_colours,
    numbered_values,
    values_in,
)
from graft.vision.data.masks import IGNORED
from graft.vision.data.polygons import draw_polygons
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array, digest_of

_MOST_NAMES = 255


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
    pages = _pages(data, rule, max_pixels)
    if len(pages) > 1:
        return _from_pages(pages, rule)
    page = pages[0]
    if rule.kind == "instances":
        return (page.pixels != 0).reshape(*page.pixels.shape[:2], -1).any(2).astype(np.uint8)
    if page.colours is not None and rule.colours and all_named(page.colours, rule.colours):
        return numbered_colours(page.colours, rule.colours)
    if page.values is None or not rule.values:
        return numbered_colours(page.pixels, rule.colours)
    if page.colours is not None and page.is_palette:
        greys = page.colours[:, :, 0]
        if (page.colours == greys[:, :, None]).all():
            return _from_grey_palette(page.values, greys, rule)
    return numbered_values(page.values, rule.values, rule.divisor)


def _from_grey_palette(values: Array, greys: Array, rule: MaskRule) -> Array:
    """Indices or the greys they show, whichever the rule names; GIFs are renumbered when saved."""
    ways = [way for way in (values, greys) if np.isin(values_in(way), list(rule.values)).all()]
    found = [numbered_values(way, rule.values) for way in ways or (values,)]
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
    pixels = _pages(data, rule, max_pixels)[0].pixels
    height, width = pixels.shape[:2]
    return boxes_around(pixels), width, height


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
    """``values`` (H, W) integers, ``colours`` (H, W, 3) uint8: what the file can be read as."""

    values: Array | None
    colours: Array | None
    is_palette: bool = False

    @property
    def pixels(self) -> Array:
        """The values, else the colours."""
        given = self.colours if self.values is None else self.values
        assert given is not None
        return given


def _pages(data: bytes, rule: MaskRule, max_pixels: int) -> list[_Page]:
    """All pages that the rule asks for, counted before any of them is decoded."""
    if not data:
        raise UnusableImageError("the mask is empty", mend="export it again")
    if is_dicom(data):
        frames = read_dicom_values(data, max_pixels, first=rule.pages == "first")
        if len(frames) > 1:
            _refuse_pages(len(frames), rule)
        return [_page_of(frame) for frame in frames]
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            refuse_hidden_work(image, data)
            if rule.kind == "instances" and image.format in ("JPEG", "MPO"):
                raise UnusableImageError(
                    "an instance mask saved as JPEG, which blends values", mend="export it as PNG"
                )
            return _frames(image, rule, max_pixels)
    except UnusableImageError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise UnusableImageError(
            f"a mask that cannot be decoded ({type(error).__name__}: {str(error)[:120]})",
            mend="export it again",
        ) from error


def _frames(image: Image.Image, rule: MaskRule, max_pixels: int) -> list[_Page]:
    width, height = image.size
    count = 1 if rule.pages == "first" else count_pages(image)
    if width * height * count > max_pixels:
        raise UnusableImageError(
            "a mask of too many pixels",
            found=f"{width}x{height}, {count} pages",
            allowed=f"{max_pixels} in all",
        )
    if count > 1:
        _refuse_pages(count, rule)
    pages = []
    for number in range(count):
        image.seek(number)
        if image.size != (width, height):
            raise UnusableImageError("a mask whose pages differ in size")
        image.load()
        pages.append(_page(image))
    return pages


def count_pages(image: Image.Image) -> int:
    """How many pages there are; of a TIFF no more than a page too many are counted."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(getattr(image, "n_frames", 1))
    count = 1
    with suppress(EOFError):
        while count <= _MOST_NAMES:  # a hundred thousand pages would take minutes
            image.seek(count)
            count += 1
    return count


def _page(image: Image.Image) -> _Page:
    mode = image.mode
    if mode == "P":
        return _Page(np.asarray(image), np.asarray(image.convert("RGB")), is_palette=True)
    if mode in ("1", "L") or mode.startswith("I"):
        values = np.asarray(image)
        return _Page(values * np.uint8(255) if values.dtype == bool else values, None)
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
        return _Page(pixels, None)
    grey = (pixels[:, :, :1] == pixels).all()
    return _Page(pixels[:, :, 0] if grey else None, pixels)


def _refuse_pages(count: int, rule: MaskRule) -> None:
    """Raise `UnusableImageError` unless several pages are a class each."""
    if rule.pages != "classes" or rule.kind != "classes":
        several = f"{count}" if count <= _MOST_NAMES else f"more than {_MOST_NAMES}"
        raise UnusableImageError(
            f"a mask of {several} pages",
            mend="set ingestion.source.mask_pages to 'first', or to 'classes' where each page is "
            "one",
        )
    if len(rule.names) - count not in (0, 1):
        raise UnusableImageError(
            f"a mask of {count} pages for {len(rule.names)} classes",
            allowed="a page per class, or all but the first",
        )


def _from_pages(pages: list[_Page], rule: MaskRule) -> Array:
    """One page per class: what it marks. With one name more than pages, the first is the rest."""
    rest = len(rule.names) - len(pages)
    mask = np.full(pages[0].pixels.shape[:2], 0 if rest else IGNORED, np.uint8)
    taken = np.zeros(mask.shape, bool)
    for number, page in enumerate(pages, start=rest):
        marked = (page.pixels != 0).reshape(*mask.shape, -1).any(2)
        if (marked & taken).any():
            raise UnusableImageError("a mask whose pages overlap", mend="give each pixel one class")
        mask[marked], taken = number, taken | marked
    return mask
