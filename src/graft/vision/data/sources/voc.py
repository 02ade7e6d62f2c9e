"""Pascal VOC: one XML file of boxes per image, with or without lists in ``ImageSets``.

``Annotations/x.xml`` beside ``JPEGImages/x.jpg``, or both in one folder, or split folders of
either. The image is the one with the XML file's own name; ``filename`` inside counts where there
is none. Corners are places between pixels; with ``one_based`` they are the original PASCAL VOC's:
pixels counted from 1, the last one included.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from graft.vision.data.boxes import Corners, StatedBox, StatedBoxes, stated_size
from graft.vision.data.options import SourceOptions
from graft.vision.data.polygons import parse_xml
from graft.vision.data.sources.folders import walk_files
from graft.vision.data.sources.lists import find_lists, name_unlisted, read_lists
from graft.vision.data.sources.places import ImageIndex, lies_among_masks, split_of_path, stem_of
from graft.vision.data.sources.reading import (
    SourceReading,
    SourceRow,
    base_of,
    bytes_of,
    compile_group_pattern,
    group_of,
)
from graft.vision.errors import UnusableImageError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Annotation:
    """``path`` of the XML file below the raw folder; no boxes where it was refused."""

    path: str
    boxes: StatedBoxes | None


def read_voc(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that has an XML file, or should have one."""
    reading = SourceReading()
    base = base_of(root, options)
    index = ImageIndex(root, base, reading, skip=lies_among_masks)
    lists = read_lists(root, find_lists(base), index, reading)
    annotations = _Annotations(root, options, index, reading).read(base)
    pattern = compile_group_pattern(options.group_pattern)
    for path in index.paths:
        if lists and path not in lists.splits:
            continue
        annotation = annotations.get(path)
        if annotation is None:
            reading.refuse(path, "no annotation; an image without objects needs an empty one")
        elif annotation.boxes is not None:
            split = lists.splits[path] if lists else split_of_path(path)
            group = group_of(path, pattern)
            row = SourceRow(path, "", split, group, annotation.path, boxes=annotation.boxes)
            reading.rows.append(row)
    if lists:
        name_unlisted([path for path in index.paths if path not in lists.splits], lists, reading)
    return reading


class _Annotations:
    """Reads all XML files; what they state is kept, their trees are not."""

    def __init__(
        self, root: Path, options: SourceOptions, index: ImageIndex, reading: SourceReading
    ) -> None:
        self._root, self._options, self._index, self._reading = root, options, index, reading
        self._found: dict[str, _Annotation] = {}
        self._renamed: list[str] = []
        self._told = Counter[str]()

    def read(self, base: Path) -> dict[str, _Annotation]:
        """The annotation of each image, by the image's path."""
        for file in walk_files(base):
            if file.suffix.lower() == ".xml":
                self._read_one(file, file.relative_to(self._root).as_posix())
        if self._renamed:
            self._reading.findings.append(
                f"{len(self._renamed)} annotations name another file inside, their own name "
                "counts: " + ", ".join(self._renamed[:5])
            )
        self._reading.findings += [f"{count} {what}" for what, count in self._told.items()]
        return self._found

    def _read_one(self, file: Path, path: str) -> None:
        try:
            tree = parse_xml(bytes_of(self._root, file))
            if tree.tag != "annotation":
                raise UnusableImageError(
                    f"no VOC annotation (XML of {tree.tag[:40]!r})", mend="take it out"
                )
        except (UnusableImageError, OSError) as error:
            image = self._index.find(file.stem, str(PurePosixPath(path).parent)).path
            reason = f"annotation that cannot be read: {error}".rstrip(".")
            self._reading.refuse(image or path, reason, path)
            self._found[image] = _Annotation(path, None)
            return
        image = self._image_of(tree, file, path)
        if not image:
            self._reading.refuse(
                path, "annotation without an image of that name; bring the image", path
            )
        elif image in self._found:
            first = self._found[image].path
            self._reading.leave_out(image, f"a second annotation; {first} is used, keep one", path)
        else:
            self._found[image] = _Annotation(path, self._boxes_of(tree, path, image))

    def _image_of(self, tree: Element, file: Path, path: str) -> str:
        near = str(PurePosixPath(path).parent)
        inside = (tree.findtext("filename") or "").strip()
        image = self._index.find(file.stem, near).path
        if image and inside and stem_of(PurePosixPath(inside).name) != file.stem:
            self._renamed.append(f"{path} says {inside}")
        return image or (self._index.find(inside, near).path if inside else "")

    def _boxes_of(self, tree: Element, path: str, image: str) -> StatedBoxes:
        boxes = []
        for number, item in enumerate(tree.iterfind("object"), start=1):
            row = f"{path} object {number}"
            corners = _corners(item, self._options.one_based)
            if isinstance(corners, str):
                self._reading.leave_out(image, corners, row)
                continue
            if (item.findtext("difficult") or "").strip() == "1":
                self._told["objects are marked as difficult and count like the others"] += 1
            boxes.append(
                StatedBox(corners, self._reading.class_name(item.findtext("name") or ""), row)
            )
        size = stated_size(tree.findtext("size/width"), tree.findtext("size/height"))
        if size is None:
            self._told["annotations do not state their image's size: boxes count as upright"] += 1
        return StatedBoxes(tuple(boxes), size)


def _corners(item: Element, one_based: bool) -> Corners | str:
    """The corners, or why there are none."""
    box = item.find("bndbox")
    if box is None:
        return "object without a box; draw one or delete it"
    try:
        x0, y0, x1, y1 = (float(box.findtext(name) or "") for name in _CORNERS)
    except ValueError:
        return "box with corners that are no numbers; correct them"
    return (x0 - 1, y0 - 1, x1, y1) if one_based else (x0, y0, x1, y1)
