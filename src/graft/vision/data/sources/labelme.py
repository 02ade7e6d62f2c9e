"""LabelMe: polygons per image, as JSON of the desktop program or XML of the web tool.

With ``truth: boxes`` the box around each shape; with ``truth: masks`` shapes are drawn one over the
other, and what none covers is ``background``, or judged by nobody where that is null.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from graft.vision.data.boxes import StatedBox, StatedBoxes
from graft.vision.data.mask_files import MaskRule
from graft.vision.data.options import SourceOptions
from graft.vision.data.polygons import BACKGROUND, Drawing, Shape, bounds_of, read_drawing
from graft.vision.data.sources.folders import walk_files
from graft.vision.data.sources.lists import find_lists, name_unlisted, read_lists
from graft.vision.data.sources.places import ImageIndex, lies_among_masks, split_of_path
from graft.vision.data.sources.reading import (
    SourceReading,
    SourceRow,
    base_of,
    bytes_of,
    compile_group_pattern,
    group_of,
)
from graft.vision.errors import DataError, UnusableImageError

_ENDINGS = (".json", ".xml")


@dataclass
class _Read:
    """What the files say: boxes by image, the file of each image, and all classes."""

    boxes: dict[str, StatedBoxes]
    files: dict[str, str]
    names: set[str]
    broken: set[str]
    cut_off: list[str]


def read_labelme(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that has a LabelMe file."""
    reading = SourceReading()
    base = base_of(root, options)
    index = ImageIndex(root, base, reading, skip=_holds_no_image)
    read = _read_files(root, base, index, options, reading)
    lists = read_lists(root, find_lists(base), index, reading)
    pattern = compile_group_pattern(options.group_pattern)
    for path in index.paths:
        if path in read.broken or (lists and path not in lists.splits):
            continue
        file = read.files.get(path)
        if file is None:
            reading.refuse(path, "no LabelMe file; an image without objects needs an empty one")
            continue
        split = lists.splits[path] if lists else split_of_path(path)
        group = group_of(path, pattern)
        if options.truth == "boxes":
            row = SourceRow(path, "", split, group, file, boxes=read.boxes[path])
        else:
            row = SourceRow(path, "", split, group, file, mask=file)
        reading.rows.append(row)
    if lists:
        name_unlisted([path for path in index.paths if path not in lists.splits], lists, reading)
    if read.cut_off:
        reading.findings.append(
            f"{len(read.cut_off)} shapes reach beyond their image and are cut off: "
            + ", ".join(read.cut_off[:5])
        )
    if options.truth == "masks":
        reading.mask_rule = _rule(read.names, options)
    return reading


def _holds_no_image(path: str) -> bool:
    return lies_among_masks(path) or "scribbles" in path.lower().split("/")


def _is_cut_off(shape: Shape, size_px: tuple[int, int] | None) -> bool:
    """Whether more than half a pixel of a shape lies beyond its image."""
    if size_px is None:
        return False
    x0, y0, x1, y1 = bounds_of(shape)
    return min(x0, y0) < -0.5 or x1 - 0.5 > size_px[0] or y1 - 0.5 > size_px[1]


def _rule(found: set[str], options: SourceOptions) -> MaskRule:
    names = options.class_names or tuple(sorted(found))
    ignored = {name.lower() for name in options.ignored_classes}
    judged = [name for name in names if name.lower() not in ignored]
    if options.background is not None and BACKGROUND not in judged:
        judged.insert(0, BACKGROUND)
    if len(judged) > 255:
        raise DataError(f"{len(judged)} classes", allowed="255 in a mask")
    return MaskRule("polygons", tuple(judged))


def _read_files(
    root: Path, base: Path, index: ImageIndex, options: SourceOptions, reading: SourceReading
) -> _Read:
    read = _Read({}, {}, set(), set(), [])
    for file in walk_files(base):
        if file.suffix.lower() not in _ENDINGS:
            continue
        path = file.relative_to(root).as_posix()
        near = str(PurePosixPath(path).parent)
        try:
            drawing = read_drawing(bytes_of(root, file))
        except (UnusableImageError, OSError) as error:
            image = index.find(file.stem, near).path
            read.broken |= {image} if image else set()
            reason = f"LabelMe file that cannot be read: {error}".rstrip(".")
            reading.refuse(image or path, reason, path)
            continue
        image = index.find(file.stem, near).path or index.find(drawing.image, near).path
        if not image:
            reading.refuse(
                path, "LabelMe file without an image of that name; bring the image", path
            )
        elif image in read.files:
            reading.leave_out(image, f"a second file; {read.files[image]} is used, keep one", path)
        else:
            read.files[image] = path
            read.boxes[image] = _boxes_of(
                drawing, path, image, options, reading, read.names, read.cut_off
            )
    return read


def _boxes_of(
    drawing: Drawing,
    path: str,
    image: str,
    options: SourceOptions,
    reading: SourceReading,
    names: set[str],
    cut_off: list[str],
) -> StatedBoxes:
    reading.trimmed |= dict.fromkeys(drawing.trimmed)
    for row, reason in drawing.left_out:
        reading.leave_out(image, reason, f"{path} {row}")
    boxes = []
    for shape in drawing.shapes:
        row = f"{path} {shape.row}"
        if options.truth == "masks" and shape.kind == "segment":
            reading.leave_out(image, "object whose pixels lie in another file; draw it", row)
            continue
        known = options.class_names
        if options.truth == "masks" and known and shape.name not in known:
            reading.leave_out(image, f"shape of an unknown class ({shape.name!r}); name it", row)
            continue
        if options.truth == "masks" and _is_cut_off(shape, drawing.size_px):
            cut_off.append(row)
        names.add(shape.name)
        boxes.append(StatedBox(bounds_of(shape), shape.name, row))
    reading.drawn += len(boxes) if options.truth == "masks" else 0
    return StatedBoxes(tuple(boxes), drawing.size_px)
