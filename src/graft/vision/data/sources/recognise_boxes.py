"""Look at a folder for boxes: which layout reads them, and with what options."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from graft.vision.data.file_bytes import read_stated
from graft.vision.data.options import SourceOptions
from graft.vision.data.polygons import parse_xml
from graft.vision.data.sources.boxes_csv import choose_box_columns, read_boxes_csv
from graft.vision.data.sources.coco import find_coco_files, read_coco
from graft.vision.data.sources.folders import files_like, subfolders, walk_files
from graft.vision.data.sources.instances import read_instances
from graft.vision.data.sources.labelme import read_labelme
from graft.vision.data.sources.reading import (
    SourceReading,
    bytes_of,
    lines_of,
    split_named,
)
from graft.vision.data.sources.table import find_tables
from graft.vision.data.sources.table_file import load_table
from graft.vision.data.sources.voc import read_voc
from graft.vision.data.sources.yolo import find_sheet, read_yolo
from graft.vision.errors import DataError, GraftError, UnusableImageError

Found = tuple[dict[str, Any], SourceReading, list[str]]
"""Options beside layout and folder, what was read by them, and doubts."""

PARTS = frozenset(
    (
        *("annotations", "annotation", "anno", "labels", "label", "xml", "xmls", "images", "image"),
        *("jpegimages", "pngimages", "imagesets", "obj_train_data", "data", "json", "masks"),
    )
)
"""Names of folders that are parts of a data set."""
_INSTANCE_FOLDERS = ("pedmasks", "instances", "instance", "instance_masks", "instancemasks")
_PICTURE_FOLDERS = ("pngimages", "images", "jpegimages", "image", "imgs")


def recognise_boxes(root: Path, base: Path) -> tuple[str, Found] | None:
    """The layout that reads boxes in a folder of the root, with what it read; or None."""
    looks: dict[str, Callable[[Path, Path], Found | None]] = {
        "voc": _voc,
        "coco": _coco,
        "yolo": _yolo,
        "labelme": look_for_labelme,
        "instances": look_for_instances,
        "boxes_csv": _boxes_csv,
    }
    for layout, look in looks.items():
        try:
            found = look(root, base)
        except GraftError:
            continue
        if found is not None and _holds_boxes(found[1]):
            return layout, found
    return None


def _holds_boxes(reading: SourceReading) -> bool:
    return any(row.mask or (row.boxes is not None and row.boxes.boxes) for row in reading.rows)


def near_files(base: Path, ending: str) -> Iterator[Path]:
    """Files with an ending in a folder and in the usual folders right below it."""
    parts = [f for f in subfolders(base) if f.name.lower() in PARTS or split_named(f.name)]
    places = [(base, "*"), *((folder, way) for folder in parts for way in ("*", "*/*"))]
    for folder, way in places:
        yield from files_like(folder, f"{way}{ending}")


def read_as(
    reader: Callable[[Path, SourceOptions], SourceReading],
    root: Path,
    base: Path,
    options: dict[str, Any],
    doubts: list[str] | None = None,
) -> Found:
    folder = base.relative_to(root).as_posix()
    parsed = SourceOptions.parse(
        {**options, **({"folder": folder} if base != root else {})}, "source"
    )
    return options, reader(root, parsed), doubts or []


def _voc(root: Path, base: Path) -> Found | None:
    for path in islice(near_files(base, ".xml"), 5):
        try:
            tree = parse_xml(bytes_of(root, path))
        except (UnusableImageError, OSError):
            continue
        drawn = tree.find("object/polygon") is not None or tree.find("object/segm") is not None
        if tree.tag == "annotation" and not drawn:
            source = tree.findtext("source/database") or ""
            original = {"one_based": True} if "VOC20" in source.replace(" ", "") else {}
            return read_as(read_voc, root, base, original)
    return None


def _coco(root: Path, base: Path) -> Found | None:
    if next(near_files(base, ".json"), None) is None:
        return None
    direct = {base, *(f for f in subfolders(base) if split_named(f.name))}
    direct |= {f for f in subfolders(base) if f.name.lower() in PARTS}
    files = [path for path in find_coco_files(root, base) if path.parent in direct]
    if not files:
        return None
    names = [path.relative_to(base).as_posix() for path in files]
    return read_as(read_coco, root, base, {"annotations": names})


def _yolo(root: Path, base: Path) -> Found | None:
    labels = [path for path in islice(near_files(base, ".txt"), 50) if _is_yolo_text(root, path)]
    sheet = find_sheet(root, base)
    if not labels:
        return None
    if sheet.names:
        return read_as(read_yolo, root, base, {})
    most = max(
        int(float(line.split()[0]))
        for path in walk_files(base)
        if path.suffix.lower() == ".txt" and _is_yolo_text(root, path)
        for line in lines_of(root, path)
        if line.strip()
    )
    if most >= 1000:
        return None
    names = [f"class {number}" for number in range(most + 1)]
    doubts = ["nothing names the classes; class_names are invented, correct them"]
    return read_as(read_yolo, root, base, {"class_names": names}, doubts)


def _is_yolo_text(root: Path, path: Path) -> bool:
    """Whether each line is a class number and five cells or more, within a few image sizes."""
    try:
        lines = bytes_of(root, path)[: 1 << 16].decode("utf-8", "replace").splitlines()[:20]
        cells = [[float(cell) for cell in line.split()] for line in lines if line.strip()]
    except (OSError, ValueError):
        return False
    return bool(cells) and all(
        len(row) >= 5 and row[0].is_integer() and row[0] >= 0 and max(map(abs, row[1:])) <= 2
        for row in cells
    )


def look_for_labelme(root: Path, base: Path, truth: str = "boxes") -> Found | None:
    options = {} if truth == "boxes" else {"truth": truth}
    for path in islice(near_files(base, ".json"), 5):
        if path.stat().st_size < 1 << 26 and b'"shapes"' in read_stated(path):
            return read_as(read_labelme, root, base, options)
    for path in islice(near_files(base, ".xml"), 5):
        try:
            tree = parse_xml(bytes_of(root, path))
        except (UnusableImageError, OSError):
            continue
        if tree.find("object/polygon") is not None or tree.find("object/segm") is not None:
            return read_as(read_labelme, root, base, options)
    return None


def look_for_instances(root: Path, base: Path, truth: str = "boxes") -> Found | None:
    names = {folder.name.lower(): folder.name for folder in subfolders(base)}
    named = next((names[name] for name in _INSTANCE_FOLDERS if name in names), None)
    if named is None:
        return None
    class_name = "pedestrian" if named.lower() == "pedmasks" else "object"
    options: dict[str, Any] = {"class_names": [class_name], "masks_folder": named}
    images = next((names[n] for n in _PICTURE_FOLDERS if n in names), "")
    options |= {"images_folder": images} if images else {}
    options |= {"truth": truth} if truth != "boxes" else {}
    doubts = [f"all instances are of one class, named {class_name!r} here"]
    return read_as(read_instances, root, base, options, doubts)


def _boxes_csv(root: Path, base: Path) -> Found | None:
    tables = []
    for path in find_tables(root, base, ()):
        try:
            choose_box_columns(load_table(path), SourceOptions(), path.name)
        except DataError:
            continue
        tables.append(path)
    if not tables:
        return None
    splits = [path for path in tables if _names_split(path)]
    chosen = splits if len(splits) > 1 else tables[:1]
    left = [path.name for path in tables if path not in chosen]
    doubts = [f"tables that also hold boxes and are not used: {', '.join(left)}"] if left else []
    options: dict[str, Any] = {"table": [path.name for path in chosen]}
    found = read_as(read_boxes_csv, root, base, options, doubts)
    boxes = [box for row in found[1].rows if row.boxes for box in row.boxes.boxes]
    if boxes and max(max(box.xyxy) for box in boxes) <= 1:
        doubts = [*doubts, "no corner is above 1: taken as shares of width and height"]
        found = read_as(read_boxes_csv, root, base, {**options, "box_unit": "share"}, doubts)
    return found


def _names_split(path: Path) -> bool:
    words = path.stem.replace("-", "_").split("_")
    return any(split_named(word) for word in words)


def is_part(folder: str) -> bool:
    """Whether a folder's name is that of a part of a data set, as ``images``."""
    return folder.lower() in PARTS


def holds_json_of_coco(base: Path) -> list[str]:
    """Kinds of COCO's files that hold no boxes, by name: captions, labels, panoptic segments."""
    kinds = []
    for path in islice(near_files(base, ".json"), 20):
        try:
            record = json.loads(bytes_of(base, path))
        except (ValueError, OSError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("images"), list):
            kinds.append(path.stem)
    return kinds
