"""LabelMe's files: named polygons, from the desktop program (JSON) or the web tool (XML)."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from graft.vision.data.boxes import stated_size
from graft.vision.data.masks import IGNORED
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

Points = tuple[tuple[float, float], ...]
_XML_BYTES_MAX = 1 << 26
_FAR_PX = 1e6
_AGAIN = "export it again, or take it out"
BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Shape:
    """One object: ``points`` in pixels, of a ``polygon``, ``rectangle``, ``circle``, or two corners
    of a ``segment`` whose pixels lie in another file (not drawn).
    """

    name: str
    kind: str
    points: Points
    row: str


@dataclass
class Drawing:
    """What one file says: the image's name and size, its shapes, and what cannot be used."""

    image: str = ""
    size_px: tuple[int, int] | None = None
    shapes: list[Shape] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Row and reason."""
    trimmed: list[str] = field(default_factory=list)
    """Class names that were stated with blanks around them."""


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parse XML that declares no document type: entities can neither expand nor fetch anything.

    Raises `UnusableImageError`.
    """
    if len(data) > _XML_BYTES_MAX:
        raise UnusableImageError(f"XML of {len(data)} bytes", allowed=str(_XML_BYTES_MAX))
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        parser.feed(data)
        root: ElementTree.Element = parser.close()
        return root
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnusableImageError(f"no sound XML ({str(error)[:120]})", mend=_AGAIN) from error


class _WithoutDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise UnusableImageError("XML that declares a document type; remove the DOCTYPE line")


def read_drawing(data: bytes) -> Drawing:
    """Read one LabelMe file. Raises `UnusableImageError` when it is none."""
    if data.lstrip()[:1] == b"<":
        return _from_xml(parse_xml(data))
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnusableImageError(f"no sound JSON ({str(error)[:120]})", mend=_AGAIN) from error
    if not isinstance(record, dict) or not isinstance(record.get("shapes"), list):
        raise UnusableImageError("no LabelMe file (no list of shapes)", mend=_AGAIN)
    return _from_json(record)


def draw_polygons(data: bytes, names: Sequence[str], max_pixels: int) -> Array:
    """(H, W) uint8 class numbers; later shapes lie on earlier ones, as LabelMe draws them.

    What no shape covers is class `BACKGROUND` where the names hold it, else `IGNORED`.

    Raises:
        UnusableImageError: without the image's size, or with a class that the names lack.
    """
    drawing = read_drawing(data)
    if drawing.size_px is None:
        raise UnusableImageError("a LabelMe file without the image's size")
    width, height = drawing.size_px
    if width * height > max_pixels:
        raise UnusableImageError(
            "a mask of too many pixels", found=f"{width}x{height}", allowed=str(max_pixels)
        )
    numbers = {name: number for number, name in enumerate(names)}
    mask = Image.new("L", (width, height), numbers.get(BACKGROUND, IGNORED))
    pen = ImageDraw.Draw(mask)
    for shape in drawing.shapes:
        _draw(pen, shape, numbers.get(shape.name, IGNORED))
    return np.asarray(mask)


def bounds_of(shape: Shape) -> tuple[float, float, float, float]:
    """The box around a shape: x0, y0, x1, y1."""
    if shape.kind == "circle":
        (x, y), (edge_x, edge_y) = shape.points
        radius = math.hypot(edge_x - x, edge_y - y)
        return x - radius, y - radius, x + radius, y + radius
    xs, ys = zip(*shape.points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _draw(pen: ImageDraw.ImageDraw, shape: Shape, number: int) -> None:
    if shape.kind == "polygon":
        pen.polygon(list(shape.points), outline=number, fill=number)
    elif shape.kind == "circle":
        pen.ellipse(bounds_of(shape), outline=number, fill=number)
    elif shape.kind == "rectangle":
        pen.rectangle(bounds_of(shape), outline=number, fill=number)


def _from_json(record: dict[str, Any]) -> Drawing:
    drawing = Drawing(image=str(record.get("imagePath") or ""))
    drawing.size_px = stated_size(record.get("imageWidth"), record.get("imageHeight"))
    for number, item in enumerate(record["shapes"], start=1):
        row = f"shape {number}"
        if not isinstance(item, dict):
            drawing.left_out.append((row, "shape that is no record; delete it"))
            continue
        kind = str(item.get("shape_type") or "polygon")
        _add(drawing, str(item.get("label") or ""), kind, item.get("points"), row)
    return drawing


def _from_xml(root: ElementTree.Element) -> Drawing:
    if root.tag != "annotation":
        raise UnusableImageError(f"no LabelMe file (XML of {root.tag!r})")
    folder = (root.findtext("folder") or "").strip()
    name = (root.findtext("filename") or "").strip()
    drawing = Drawing(image=f"{folder}/{name}" if folder else name)
    drawing.size_px = stated_size(
        root.findtext("imagesize/ncols"), root.findtext("imagesize/nrows")
    )
    for number, item in enumerate(root.iter("object"), start=1):
        if (item.findtext("deleted") or "0").strip() == "1":
            continue
        label, row = item.findtext("name") or "", f"object {number}"
        points = [(p.findtext("x"), p.findtext("y")) for p in item.iterfind("polygon/pt")]
        if not points and item.find("segm/box") is not None:
            box = item.find("segm/box")
            assert box is not None
            points = [(box.findtext(f"x{end}"), box.findtext(f"y{end}")) for end in ("min", "max")]
            _add(drawing, label, "segment", points, row)
            continue
        _add(drawing, label, "polygon", points, row)
    return drawing


def _add(drawing: Drawing, stated: str, kind: str, points: Any, row: str) -> None:
    """Add a shape, or say why it cannot be one."""
    name = stated.strip()
    drawing.trimmed += [stated] if name not in ("", stated) else []
    try:
        numbers: Points = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError, OverflowError):
        drawing.left_out.append((row, "shape whose points are no numbers; redraw it"))
        return
    least = {"polygon": 3, "rectangle": 2, "circle": 2, "segment": 2}.get(kind)
    if least is None:
        reason = f"shape that covers no area ({kind[:20]}); draw a polygon"
    elif not name:
        reason = "shape without a class; name it"
    elif not _is_text(name):
        reason = "shape of a class whose name is no text (half a Unicode pair); name it anew"
    elif len(numbers) < least or (kind != "polygon" and len(numbers) > least):
        reason = f"shape of too few or many points ({kind}, {len(numbers)}); redraw it"
    elif not all(math.isfinite(value) for point in numbers for value in point):
        reason = "shape with points that are not finite; redraw it"
    elif max(abs(value) for point in numbers for value in point) > _FAR_PX:
        reason = f"shape with points beyond any image ({_FAR_PX:g} px); redraw it"
    elif kind == "polygon" and _is_flat(numbers):
        reason = "shape without area; redraw or delete it"
    else:
        drawing.shapes.append(Shape(name, kind, numbers, row))
        return
    drawing.left_out.append((row, reason))


def _is_flat(points: Points) -> bool:
    """Whether all points lie on one upright or level line; a pen would draw it all the same."""
    return any(min(side) == max(side) for side in zip(*points, strict=True))


def _is_text(name: str) -> bool:
    """Whether it can be written: JSON can escape halves of a pair of code points."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
