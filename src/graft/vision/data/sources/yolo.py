"""YOLO: a text file per image, one object per line, in shares of width and height.

``class x y width height`` (of the centre), or ``class x y x y x y ...``: a polygon, of which the
bounding box is taken. ``data.yaml`` names the splits and the classes; without it, or where its
paths are those of another machine, folders and lists do, and ``*.names`` or ``classes.txt``. An
image without a text file has no objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from graft.vision.data.boxes import Corners, StatedBox, StatedBoxes
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.folders import walk_files
from graft.vision.data.sources.lists import Lists, find_lists, name_unlisted, read_lists
from graft.vision.data.sources.places import (
    ImageIndex,
    lies_among_masks,
    split_of_path,
    stem_of,
)
from graft.vision.data.sources.reading import (
    SEVERAL,
    SourceReading,
    SourceRow,
    base_of,
    bytes_of,
    compile_group_pattern,
    group_of,
    is_readable_name,
    lines_of,
    split_named,
)
from graft.vision.errors import DataError

_YAML_BYTES_MAX = 1 << 20
_NOT_LABELS = ("readme", "classes", "license", "notes", "labels", "names")
_OBJECT_LISTS = ("classes.txt", "labels.txt")


@dataclass
class YoloSheet:
    """What ``data.yaml`` (or Darknet's ``obj.data``) says."""

    names: tuple[str, ...] = ()
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each split: folders, or lists of images."""
    file: str = ""


def read_yolo(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image.

    Raises:
        DataError: when nothing names the classes.
    """
    reading = SourceReading()
    base = base_of(root, options)
    sheet = find_sheet(root, base)
    names = options.class_names or tuple(reading.class_name(name) for name in sheet.names)
    if not names:
        raise DataError(
            f"no class names for the YOLO files in {base}",
            allowed="data.yaml with names, *.names or classes.txt",
            mend="list them in ingestion.source.class_names",
        )
    index = ImageIndex(root, base, reading, skip=lies_among_masks)
    labels = _find_labels(root, base, index, reading)
    lists = read_lists(root, _lists_of(base, sheet), index, reading)
    folders = _folders_of(root, base, sheet, index, reading)
    pattern = compile_group_pattern(options.group_pattern)
    bare = []
    for path in index.paths:
        split = lists.splits.get(path) if lists else _split_of(path, folders)
        if split is None:
            continue
        label = labels.get(path, "")
        bare += [] if label else [path]
        boxes = _read_label(root, label, path, names, reading) if label else StatedBoxes()
        if boxes is not None:
            group = group_of(path, pattern)
            reading.rows.append(SourceRow(path, "", split, group, label, boxes=boxes))
    if bare:
        reading.findings.append(
            f"{len(bare)} images have no text file and count as without objects: "
            + ", ".join(bare[:5])
        )
    _name_unused(index, lists, folders, reading)
    return reading


def find_sheet(root: Path, base: Path) -> YoloSheet:
    """What names classes and splits.

    Raises:
        DataError: when ``data.yaml`` is not sound.
    """
    for path in sorted([*base.glob("*.yaml"), *base.glob("*.yml")]):
        record = _load_yaml(root, path)
        if isinstance(record, dict) and ("names" in record or "nc" in record):
            return _sheet_of(record, path)
    sheet = YoloSheet()
    for path in sorted(base.glob("*.data")):
        pairs = [line.split("=", 1) for line in lines_of(root, path) if "=" in line]
        stated = {key.strip().lower(): value.strip() for key, value in pairs}
        sheet.file = path.name
        sheet.places = {
            split: (value,) for key, value in stated.items() if (split := split_named(key))
        }
    found = [*sorted(base.glob("*.names")), *(base / name for name in _OBJECT_LISTS)]
    for path in found:
        if path.is_file():
            sheet.names = tuple(line for line in lines_of(root, path) if line.strip())
            break
    return sheet


class _PlainLoader(yaml.SafeLoader):
    """Without merge keys: a few hundred bytes of them, nested, take hours to expand."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError("merge keys (<<), which are not read here; write them out")


def _load_yaml(root: Path, path: Path) -> Any:
    if path.is_file() and path.stat().st_size > _YAML_BYTES_MAX:
        return None
    try:
        return yaml.load(bytes_of(root, path), _PlainLoader)  # a safe loader: nothing runs
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no sound YAML", found=str(error)[:200]) from error


def _sheet_of(record: dict[str, Any], path: Path) -> YoloSheet:
    names = record.get("names")
    if isinstance(names, dict):
        numbers = sorted(n for n in names if isinstance(n, int))
        if len(numbers) != len(names) or numbers != list(range(len(numbers))):
            raise DataError(f"{path.name}: names are not numbered from 0", found=f"{numbers[:20]}")
        names = [names[number] for number in numbers]
    if names is not None and not isinstance(names, list):
        raise DataError(f"{path.name}: names are no list", found=type(names).__name__)
    count = record.get("nc")
    if names and isinstance(count, int) and count != len(names):
        raise DataError(
            f"{path.name} names {len(names)} classes and counts {count}",
            mend="correct nc or names",
        )
    places: dict[str, tuple[str, ...]] = {}
    for key, value in record.items():
        split = split_named(str(key))
        if split and value:
            values = value if isinstance(value, list) else [value]
            places[split] = tuple(v for v in values if isinstance(v, str))
    # Nested lists that share their parts would grow without bound as text.
    if not all(isinstance(name, int | float) or _is_text(name) for name in names or ()):
        raise DataError(f"{path.name}: names that are no words")
    return YoloSheet(tuple(str(name) for name in names or ()), places, path.name)


def _is_text(name: object) -> bool:
    return isinstance(name, str) and is_readable_name(name)


# --- splits --------------------------------------------------------------------------------------


def _lists_of(base: Path, sheet: YoloSheet) -> dict[Path, str]:
    """The list files that the sheet names, by their own name; else those that lie there."""
    lists: dict[Path, str] = {}
    for split, places in sheet.places.items():
        for place in places:
            path = base / PurePosixPath(place).name
            if path.suffix == ".txt" and path.is_file():
                lists[path] = split
    if lists or sheet.places:
        return lists
    return find_lists(base, ("",))


def _folders_of(
    root: Path, base: Path, sheet: YoloSheet, index: ImageIndex, reading: SourceReading
) -> dict[str, str]:
    """The split of each folder of images that the sheet names, found by the end of its path."""
    known = {str(PurePosixPath(path).parent) for path in index.paths}
    folders: dict[str, str] = {}
    prefix = base.relative_to(root).as_posix()
    for split, places in sheet.places.items():
        for place in places:
            if place.endswith(".txt"):
                continue
            folder = _nearest_folder(place, prefix, known, split)
            if folder is None:
                reading.findings.append(f"{sheet.file}: {split} names {place}, which is not there")
                continue
            if not _is_as_stated(place, folder, prefix):
                reading.findings.append(f"{sheet.file}: {split} names {place}, found as {folder}")
            folders[folder] = split
    return folders


def _nearest_folder(place: str, prefix: str, known: set[str], split: str) -> str | None:
    """The folder with images whose path ends most like the one stated, or is of that split."""
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    every = known | {str(above) for folder in known for above in PurePosixPath(folder).parents}
    below = sorted(f for f in every if f == prefix or prefix == "." or f.startswith(f"{prefix}/"))
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        found = [f for f in below if f == tail or f.endswith(f"/{tail}")]
        if len(found) == 1 and split_of_path(f"{found[0]}/x") in ("", split):
            return found[0]
    found = [folder for folder in sorted(known) if split_of_path(f"{folder}/x") == split]
    return found[0] if len(found) == 1 else None


def _is_as_stated(place: str, folder: str, prefix: str) -> bool:
    stated = place.replace("\\", "/").strip("/").removeprefix("./")
    return folder in (stated, f"{prefix}/{stated}")


def _split_of(path: str, folders: dict[str, str]) -> str | None:
    """The split of an image; None where the sheet's folders do not hold it."""
    if not folders:
        return split_of_path(path)
    above = [str(parent) for parent in PurePosixPath(path).parents]
    return next((folders[folder] for folder in above if folder in folders), None)


def _name_unused(
    index: ImageIndex, lists: Lists, folders: dict[str, str], reading: SourceReading
) -> None:
    if lists:
        name_unlisted([path for path in index.paths if path not in lists.splits], lists, reading)
        return
    unused = [path for path in index.paths if _split_of(path, folders) is None]
    if unused:
        reading.findings.append(
            f"{len(unused)} images lie in no folder that data.yaml names and are not used: "
            + ", ".join(unused[:5])
        )


# --- objects -------------------------------------------------------------------------------------


def _find_labels(
    root: Path, base: Path, index: ImageIndex, reading: SourceReading
) -> dict[str, str]:
    """The text file of each image; one that belongs to none is refused."""
    labels: dict[str, str] = {}
    for file in walk_files(base):
        path = file.relative_to(root).as_posix()
        stem = file.stem.lower()
        if file.suffix.lower() != ".txt":
            continue
        place = index.find(file.stem, str(PurePosixPath(path).parent))
        if place.path and stem_of(PurePosixPath(place.path).name) == file.stem:
            if place.path in labels:
                reading.leave_out(
                    place.path, f"a second text file; {labels[place.path]} is used, keep one", path
                )
            else:
                labels[place.path] = path
        elif not split_named(stem) and not any(word in stem for word in _NOT_LABELS):
            several = place.how == "several"
            what = f"whose image is unclear: {SEVERAL}" if several else "without an image; bring it"
            reading.refuse(path, f"text file {what}", path)
    return labels


def _read_label(
    root: Path, label: str, image: str, names: Sequence[str], reading: SourceReading
) -> StatedBoxes | None:
    """The boxes of one text file; None when it cannot be read, and the image is refused."""
    try:
        text = bytes_of(root, root / label).decode("utf-8-sig")
    except UnicodeDecodeError:
        reading.refuse(image, "text file that cannot be read: not UTF-8; save it so", label)
        return None
    except OSError as error:
        reading.refuse(image, f"text file that cannot be read: {error.strerror or error}", label)
        return None
    boxes = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        row = f"{label} line {number}"
        box = _read_line(line.split(), names)
        if isinstance(box, str):
            reading.leave_out(image, box, row)
        else:
            boxes.append(StatedBox(box[1], box[0], row))
    return StatedBoxes(tuple(boxes), as_shares=True)


def _read_line(cells: list[str], names: Sequence[str]) -> tuple[str, Corners] | str:
    """The class and corners of one line, or why it cannot be used."""
    try:
        number, *values = (float(cell) for cell in cells)
    except ValueError:
        return "line that holds other than numbers; correct it"
    if not number.is_integer() or not 0 <= number < len(names):
        return f"box of an unknown class (number {number:g} of {len(names)}); correct it"
    name = names[int(number)]
    if len(values) == 4:
        x, y, width, height = values
        if width < 0 or height < 0:
            return f"box of negative size (width {width:g}, height {height:g}); correct it"
        return name, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        return name, (min(xs), min(ys), max(xs), max(ys))
    return f"line of {len(cells)} numbers (allowed: 5, or 1 and three points or more); correct it"
