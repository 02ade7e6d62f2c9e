"""COCO: boxes in JSON, one file per split or one for all; ``bbox`` is x, y, width, height in px."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from graft.vision.data.boxes import Corners, StatedBox, StatedBoxes, stated_size
from graft.vision.data.file_bytes import STATED_BYTES_MAX
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.lists import JUDGES_FIRST
from graft.vision.data.sources.places import ImageIndex, lies_among_masks, split_of_path
from graft.vision.data.sources.reading import (
    MISSING,
    SEVERAL,
    SourceReading,
    SourceRow,
    base_of,
    bytes_of,
    compile_group_pattern,
    group_of,
    is_readable_name,
    split_named,
    stays_inside,
)
from graft.vision.errors import DataError

_PREFERRED = ("instances", "_annotations.coco", "annotations", "person_keypoints")
"""Of several kinds of files in one folder, the first of these is read."""


def read_coco(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that a JSON file lists.

    Raises:
        DataError: when no file, or a named one, is COCO's boxes.
    """
    reading = SourceReading()
    base = base_of(root, options)
    files = find_coco_files(root, base, options.annotations)
    index = ImageIndex(root, base, reading, skip=lies_among_masks)
    rows: dict[str, SourceRow] = {}
    told = _Told()
    pattern = compile_group_pattern(options.group_pattern)
    paths = [file.relative_to(root).as_posix() for file in files]
    # The files that judge come first: an image listed twice is theirs.
    for path in sorted(paths, key=lambda path: JUDGES_FIRST.index(split_of_file(path))):
        for image, boxes in _read_file(load_coco(root, root / path), path, index, reading, told):
            if image in rows:
                reading.leave_out(image, f"listed again; {rows[image].row} is used, keep one", path)
                continue
            split = split_of_file(path) or split_of_path(image)
            rows[image] = SourceRow(image, "", split, group_of(image, pattern), path, boxes=boxes)
    reading.rows = list(rows.values())
    reading.findings += told.sentences()
    unlisted = [path for path in index.paths if path not in rows]
    if unlisted:
        reading.findings.append(
            f"{len(unlisted)} images are listed in no annotation and are not used: "
            + ", ".join(unlisted[:5])
        )
    return reading


def find_coco_files(root: Path, base: Path, named: tuple[str, ...] = ()) -> list[Path]:
    """The files named, or those that hold boxes: of one kind, in the base or two folders deep."""
    for name in named:
        if not (base / name).is_file() or not stays_inside(root, base / name):
            raise DataError(
                f"annotation {name} is not in {base}",
                found=[p.relative_to(base).as_posix() for p in _json_files(base)][:10],
                mend="correct ingestion.source.annotations",
            )
    if named:
        return [base / name for name in named]
    found = [path for path in _json_files(base) if _is_box_file(root, path)]
    if not found:
        raise DataError(
            f"no COCO annotation with boxes in {base}",
            found=[path.relative_to(base).as_posix() for path in _json_files(base)][:10],
            mend="name it in ingestion.source.annotations",
        )
    ranks = {path: _rank(path) for path in found}
    return [path for path in found if ranks[path] == min(ranks.values())]


def load_coco(root: Path, path: Path) -> dict[str, Any]:
    """The record of a file. Raises `DataError` when it is not COCO's."""
    try:
        record = json.loads(bytes_of(root, path))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read", found=error.strerror or error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path.name} cannot be read as JSON", found=str(error)[:200], mend="export it again"
        ) from error
    lists = ("images", "annotations", "categories")
    if not isinstance(record, dict) or not all(isinstance(record.get(k), list) for k in lists):
        raise DataError(
            f"{path} is no COCO annotation",
            found=sorted(record)[:10] if isinstance(record, dict) else type(record).__name__,
            allowed="lists of images, annotations and categories",
        )
    return record


def split_of_file(path: str) -> str:
    """The split that a file's name or folder names: ``instances_val2017.json``, ``valid/x``."""
    for word in reversed(words_of(path)):
        if split := split_named(word.rstrip("0123456789")):
            return split
    return split_of_path(path)


def words_of(path: str) -> list[str]:
    """The words in a file's name."""
    return PurePosixPath(path).stem.replace("-", "_").replace(".", "_").split("_")


@dataclass
class _Told:
    """Counts over all files."""

    boxes: Counter[str] = field(default_factory=Counter)
    categories: dict[str, None] = field(default_factory=dict)
    crowds: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """What should be known."""
        found = []
        empty = [name for name in self.categories if not self.boxes[name]]
        if empty:
            names = ", ".join(empty)
            found.append(f"{len(empty)} categories have no box and are no class: {names}")
        if self.crowds:
            found.append(f"{self.crowds} crowd regions are no single object and are left out")
        for how, lines in self.places.items():
            found.append(
                f"{len(lines)} images are named with another {how}; found by the rest of their "
                f"names, e.g. {lines[0]}"
            )
        return found


def _json_files(base: Path) -> list[Path]:
    folders = [base, *sorted(p for p in base.iterdir() if p.is_dir() and p.name[0] not in "._")]
    return [path for folder in folders for path in sorted(folder.glob("*.json")) if path.is_file()]


def _is_box_file(root: Path, path: Path) -> bool:
    """Whether a file holds COCO's boxes: not captions, whole-image labels, panoptic segments."""
    if path.stat().st_size > STATED_BYTES_MAX:
        return True  # so that it is refused by name, and not passed over
    try:
        record = load_coco(root, path)
    except DataError:
        return False
    some = [item for item in record["annotations"][:100] if isinstance(item, dict)]
    return any("bbox" in item for item in some) or (not some and bool(record["categories"]))


def _rank(path: Path) -> int:
    names = enumerate(_PREFERRED)
    return next((n for n, name in names if path.stem.startswith(name)), len(_PREFERRED))


def _read_file(
    record: dict[str, Any], path: str, index: ImageIndex, reading: SourceReading, told: _Told
) -> list[tuple[str, StatedBoxes]]:
    """The images of one file with their boxes, in the file's order."""
    names = _category_names(record, path, reading)
    told.categories |= dict.fromkeys(names.values())
    images, sizes = _images_of(record, path, index, reading, told)
    boxes: dict[str, list[StatedBox]] = {image: [] for image in images.values()}
    for number, item in enumerate(record["annotations"], start=1):
        item = item if isinstance(item, dict) else {}
        row = f"{path} annotation {item.get('id', f'number {number}')}"
        key = _key(item.get("image_id"))
        if key not in images:
            if key not in sizes:
                reading.leave_out(
                    path, f"annotation of an unknown image ({key[:60]}); list the image", row
                )
            continue
        if item.get("iscrowd") == 1:
            told.crowds += 1
            continue
        name = names.get(_key(item.get("category_id")), "")
        corners = _corners(item)
        if not name:
            corners = f"box of an unknown category ({_key(item.get('category_id'))[:40]}); name it"
        if isinstance(corners, str):
            reading.leave_out(images[key], corners, row)
            continue
        told.boxes[name] += 1
        boxes[images[key]].append(StatedBox(corners, name, row))
    size_of = {image: sizes[key] for key, image in images.items()}
    return [(image, StatedBoxes(tuple(found), size_of[image])) for image, found in boxes.items()]


def _category_names(record: dict[str, Any], path: str, reading: SourceReading) -> dict[str, str]:
    names: dict[str, str] = {}
    for item in record["categories"]:
        name = str(item.get("name") or "") if isinstance(item, dict) else ""
        if not name.strip() or not is_readable_name(name):
            what = f"a name that is no text ({name})" if name.strip() else "no name"
            reading.findings.append(f"{path}: a category with {what}; its boxes are left out")
            continue
        key, name = _key(item.get("id")), reading.class_name(name)
        if key in names and names[key] != name:
            reading.findings.append(f"{path}: category {key} is both {names[key]!r} and {name!r}")
        names.setdefault(key, name)
    return names


Size = tuple[int, int] | None


def _images_of(
    record: dict[str, Any], path: str, index: ImageIndex, reading: SourceReading, told: _Told
) -> tuple[dict[str, str], dict[str, Size]]:
    """The path of each image by its id, and the size stated; what is not there is refused."""
    images: dict[str, str] = {}
    sizes: dict[str, Size] = {}
    paths: set[str] = set()
    words = [PurePosixPath(path).parent.as_posix(), *words_of(path), split_of_file(path)]
    near = "/".join(words)
    for number, item in enumerate(record["images"], start=1):
        item = item if isinstance(item, dict) else {}
        key, name = _key(item.get("id")), str(item.get("file_name") or "")
        row = f"{path} image {key if 'id' in item else f'number {number}'}"
        if key in sizes:
            reading.refuse(name, "the id of another image; number the images anew", row)
            continue
        sizes[key] = stated_size(item.get("width"), item.get("height"))
        place = index.find(name, near)
        if place.path in paths:
            reading.leave_out(
                place.path, "listed again in the same file; the first is used, keep one", row
            )
        elif place.path:
            images[key] = place.path
            paths.add(place.path)
            if place.how:
                told.places.setdefault(place.how, []).append(f"{name} is {place.path}")
        else:
            reading.refuse(name, SEVERAL if place.how == "several" else MISSING, row)
    return images, sizes


def _key(value: Any) -> str:
    """Ids are numbers or texts; 7 and "7" are the same."""
    return str(value)


def _corners(item: dict[str, Any]) -> Corners | str:
    """The box of an annotation, or of its polygons; or why there is none."""
    try:
        if item.get("bbox"):
            x, y, width, height = (float(value) for value in item["bbox"])
            if width < 0 or height < 0:
                return f"box of negative size (width {width:g}, height {height:g}); correct it"
            return x, y, x + width, y + height
        if isinstance(item.get("segmentation"), list) and item["segmentation"]:
            xs = [float(x) for part in item["segmentation"] for x in part[0::2]]
            ys = [float(y) for part in item["segmentation"] for y in part[1::2]]
            return min(xs), min(ys), max(xs), max(ys)
    except (TypeError, ValueError, OverflowError):
        return "box whose corners are no numbers; correct them"
    return "annotation without a box; draw one or delete it"
