"""Boxes as annotators stated them, held against the image they belong to.

A box that cannot be meant is left out and named, and the rest of its image goes on; nothing is
mended in silence.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from graft.vision.errors import UnusableImageError, nearest

Corners = tuple[float, float, float, float]
ROUNDING_PX = 0.01
"""What text with few digits loses; not told as reaching beyond the image."""


@dataclass(frozen=True, slots=True)
class StatedBox:
    """One object: x0, y0, x1, y1 as stated, its class, and where that stands."""

    xyxy: Corners
    name: str
    row: str
    """E.g. ``Annotations/a.xml object 3``."""


@dataclass(frozen=True, slots=True)
class StatedBoxes:
    """All objects of one image.

    ``size_px``: width and height that the annotators saw, where they say so.
    ``as_shares``: corners are shares of width and height in place of pixels.
    """

    boxes: tuple[StatedBox, ...] = ()
    size_px: tuple[int, int] | None = None
    as_shares: bool = False


def stated_size(width: object, height: object) -> tuple[int, int] | None:
    """Width and height in pixels, of numbers or texts; None where they state no size.

    However large they are, they stay as stated: a size that no image has must be refused.
    """
    try:
        size = int(float(str(width))), int(float(str(height)))
    except (ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


@dataclass
class CheckedBoxes:
    """What can be used, in pixels of the upright original, and what is to be told."""

    boxes_xyxy: list[list[float]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Row and reason."""
    clipped: list[tuple[str, float]] = field(default_factory=list)
    """Row, and by how many pixels the box reached beyond the image."""
    turned: bool = False
    """Boxes were drawn on the image as it is stored, and were turned with it."""
    ambiguous: bool = False
    """The image is turned, and its stated size does not tell in which frame boxes were drawn."""


def check_boxes(
    stated: StatedBoxes,
    width: int,
    height: int,
    orientation: int = 1,
    known: Collection[str] = (),
) -> CheckedBoxes:
    """Check, turn and clip the boxes of one image.

    Args:
        stated: what annotators said.
        width, height: of the upright original, in pixels.
        orientation: its EXIF orientation, 1 to 8.
        known: the only classes there are; any class when empty.

    Raises:
        UnusableImageError: when the stated size is neither the upright nor the stored one.
    """
    checked = CheckedBoxes()
    turn = _must_turn(stated, width, height, orientation, checked)
    stored = (height, width) if orientation >= 5 else (width, height)
    seen: set[tuple[str, Corners]] = set()
    for box in stated.boxes:
        corners = box.xyxy
        if stated.as_shares:
            corners = _times(corners, width, height)
        reason = _fault(corners, box.name, known)
        if not reason and turn:
            corners = turn_box(corners, orientation, *stored)
        inside = _clip(corners, width, height)
        if not reason and (inside[0] >= inside[2] or inside[1] >= inside[3]):
            reason = f"box outside the image ({_told(corners)} in {width}x{height}); correct it"
        if not reason and (box.name, inside) in seen:
            reason = f"box stated twice ({_told(corners)}, {box.name}); delete one of the two"
        if reason:
            checked.left_out.append((box.row, reason))
            continue
        seen.add((box.name, inside))
        beyond = max(abs(a - b) for a, b in zip(corners, inside, strict=True))
        if beyond > ROUNDING_PX:
            checked.clipped.append((box.row, beyond))
        checked.boxes_xyxy.append([round(value, 4) for value in inside])
        checked.classes.append(box.name)
    return checked


def turn_box(box: Corners, orientation: int, width: int, height: int) -> Corners:
    """A box of the stored image (``width`` x ``height``) in its upright frame.

    EXIF orientation 2: mirrored; 3: half a turn; 4: upside down; 5: transposed; 6: a quarter turn
    clockwise; 7: transversed; 8: a quarter turn counter-clockwise.
    """
    x0, y0, x1, y1 = box
    if orientation in (5, 6, 7, 8):
        x0, y0, x1, y1 = y0, x0, y1, x1
        width, height = height, width
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1


def _must_turn(
    stated: StatedBoxes, width: int, height: int, orientation: int, checked: CheckedBoxes
) -> bool:
    if stated.size_px is None or stated.as_shares:
        checked.ambiguous = orientation != 1 and not stated.as_shares and bool(stated.boxes)
        return False
    stored = (height, width) if orientation >= 5 else (width, height)
    if stated.size_px == stored == (width, height):
        checked.ambiguous = orientation != 1 and bool(stated.boxes)
        return False
    if stated.size_px == (width, height):
        return False
    if stated.size_px == stored:
        checked.turned = bool(stated.boxes)
        return True
    found = "{}x{}".format(*stated.size_px)
    raise UnusableImageError(
        f"boxes drawn on an image of another size ({found} stated, {width}x{height} found)",
        mend="correct the size that the annotation states, or bring the image that was annotated",
    )


def _fault(corners: Corners, name: str, known: Collection[str]) -> str:
    """Why a box cannot be meant, with what to do; or an empty string."""
    x0, y0, x1, y1 = corners
    if not name:
        return "box without a class; name it"
    if known and name not in known:
        return f"box of an unknown class ({name!r}{nearest(name, known)}); correct the name"
    if not all(math.isfinite(value) for value in corners):
        return f"box with corners that are not finite ({_told(corners)}); correct them"
    if x0 > x1 or y0 > y1:
        return f"box with swapped corners ({_told(corners)}); exchange them"
    if x0 == x1 or y0 == y1:
        return f"box without area ({_told(corners)}); redraw or delete it"
    return ""


def _clip(corners: Corners, width: int, height: int) -> Corners:
    x0, y0, x1, y1 = corners
    return (
        min(max(x0, 0.0), float(width)),
        min(max(y0, 0.0), float(height)),
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
    )


def _times(corners: Corners, width: int, height: int) -> Corners:
    x0, y0, x1, y1 = corners
    return x0 * width, y0 * height, x1 * width, y1 * height


def _told(corners: Corners) -> str:
    return "left {:g}, top {:g}, right {:g}, bottom {:g}".format(*corners)
