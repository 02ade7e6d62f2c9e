"""Boxes in tables, one row per box: columns are found by name, in any order.

Corners as ``xmin, ymin, xmax, ymax`` (or ``x1``, ``left`` ...), or a corner with width and height
(``x, y, w, h``), or all four in one cell ``bbox``. Where corners are there, ``width`` and
``height`` are the size of the image. A row with blank corners says that its image has no object.
Tables named after splits (``train_labels.csv``, ``test-export.csv``) give them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from graft.vision.data.boxes import Corners, StatedBox, StatedBoxes, stated_size
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.coco import split_of_file
from graft.vision.data.sources.lists import JUDGES_FIRST
from graft.vision.data.sources.places import ImageIndex, lies_among_masks, split_of_path
from graft.vision.data.sources.reading import (
    MISSING,
    SEVERAL,
    SourceReading,
    SourceRow,
    base_of,
    compile_group_pattern,
    group_of,
    split_named,
)
from graft.vision.data.sources.table import find_tables
from graft.vision.data.sources.table_file import load_table
from graft.vision.errors import DataError, nearest

_LEFT = ("xmin", "x_min", "x1", "x0", "left", "bbox_x1", "bbox_xmin", "xtl")
_TOP = ("ymin", "y_min", "y1", "y0", "top", "bbox_y1", "bbox_ymin", "ytl")
_RIGHT = ("xmax", "x_max", "x2", "right", "bbox_x2", "bbox_xmax", "xbr")
_BOTTOM = ("ymax", "y_max", "y2", "bottom", "bbox_y2", "bbox_ymax", "ybr")
_X = (*_LEFT, "x", "bbox_x", "box_x")
_Y = (*_TOP, "y", "bbox_y", "box_y")
_WIDTH = ("w", "width", "bbox_w", "bbox_width", "box_width")
_HEIGHT = ("h", "height", "bbox_h", "bbox_height", "box_height")
_ALL_IN_ONE = ("bbox", "box", "bounding_box")
_IMAGE_WIDTH = ("width", "image_width", "img_width")
_IMAGE_HEIGHT = ("height", "image_height", "img_height")
_PATHS = (
    *("path", "file", "filename", "file_name", "filepath", "image", "image_path", "image_name"),
    *("img", "id", "imagename", "img_name", "image_id", "imageid", "frame"),
)
_LABELS = (
    *("label", "labels", "class", "classes", "class_name", "label_name", "category", "target"),
    *("truth", "tags", "labelname", "object", "type", "name"),
)
_SPLITS = ("split", "set", "subset", "fold", "partition")
_GROUPS = ("group", "patient", "patient_id", "subject", "track", "drive", "case_id", "video")
_NUMBER = re.compile(r"[^\s,;\[\]()]+")


@dataclass(frozen=True)
class BoxColumns:
    """Which column is what; ``corners`` has one name where a cell holds all four."""

    path: str
    label: str
    corners: tuple[str, ...]
    format: str
    size: tuple[str, str] | None = None
    split: str | None = None
    group: str | None = None


@dataclass
class _Image:
    """What the rows say of one image so far."""

    row: str
    split: str
    group: str
    size: tuple[int, int] | None
    boxes: list[StatedBox] = field(default_factory=list)


def read_boxes_csv(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that a table names; every row is used or reported with its number.

    Raises:
        DataError: when no table is there, or one has no columns for image, class and corners.
    """
    reading = SourceReading()
    base = base_of(root, options)
    images = base / options.images_folder
    index = ImageIndex(root, images if images.is_dir() else base, reading, lies_among_masks)
    found: dict[str, _Image] = {}
    tables = find_tables(root, base, options.table)
    for path in sorted(tables, key=lambda path: JUDGES_FIRST.index(split_of_file(path.name))):
        table = load_table(path, options.delimiter)
        columns = choose_box_columns(table, options, path.name)
        place = path.relative_to(root).as_posix()
        _read_table(table, columns, place, index, found, options, reading)
    pattern = compile_group_pattern(options.group_pattern)
    for image, said in found.items():
        boxes = StatedBoxes(tuple(said.boxes), said.size, options.box_unit == "share")
        group = said.group or group_of(image, pattern)
        split = said.split or split_of_path(image)
        reading.rows.append(SourceRow(image, "", split, group, said.row, boxes=boxes))
    unlisted = [path for path in index.paths if path not in found]
    if unlisted:
        reading.findings.append(
            f"{len(unlisted)} images stand in no row and are not used: {', '.join(unlisted[:5])}"
        )
    return reading


def choose_box_columns(table: pd.DataFrame, options: SourceOptions, name: str) -> BoxColumns:
    """Which column is what: as the options say, else by the usual names.

    Raises:
        DataError: naming what is missing.
    """
    columns = list(table.columns)
    corners, form = _corner_columns(columns, options, name)
    left = [column for column in columns if column not in corners]
    path = _pick(left, options.path_column, _PATHS, "path", name)
    left = [column for column in left if column != path]
    size = _size_columns(left)
    left = [column for column in left if size is None or column not in size]
    split = _pick(left, options.split_column, _SPLITS, "split", name)
    group = _pick(left, options.group_column, _GROUPS, "group", name)
    left = [column for column in left if column not in (split, group)]
    label = _pick(left, options.label_column, _LABELS, "label", name)
    words = [column for column in left if not _is_numeric(table[column])]
    if label is None and len(words) == 1:  # all others are numbers: this one must be the class
        label = words[0]
    if path is None or label is None:
        raise DataError(
            f"{name} has no column for {'the image' if path is None else 'the class'}",
            found=columns,
            mend="name it: ingestion.source.path_column or label_column",
        )
    return BoxColumns(path, label, corners, form, size, split, group)


def _corner_columns(
    columns: list[str], options: SourceOptions, name: str
) -> tuple[tuple[str, ...], str]:
    """The columns of the four numbers, in the order of ``xyxy`` or ``xywh``."""
    if options.box_columns:
        absent = [column for column in options.box_columns if column not in columns]
        if absent or len(options.box_columns) not in (1, 4):
            raise DataError(
                f"{name}: ingestion.source.box_columns",
                found=list(options.box_columns),
                allowed=f"four (or one for all) of {columns}",
            )
        return options.box_columns, options.box_format or "xyxy"
    by_name = {column.lower(): column for column in columns}
    for form, roles in (
        ("xyxy", (_LEFT, _TOP, _RIGHT, _BOTTOM)),
        ("xywh", (_X, _Y, _WIDTH, _HEIGHT)),
    ):
        found = [next((by_name[n] for n in names if n in by_name), None) for names in roles]
        if all(found):
            return tuple(str(column) for column in found), options.box_format or form
    whole = next((by_name[n] for n in _ALL_IN_ONE if n in by_name), None)
    if whole and options.box_format:
        return (whole,), options.box_format
    raise DataError(
        f"{name} has no columns for the corners of boxes"
        + (f" but {whole!r}, which does not tell its order" if whole else ""),
        found=columns,
        allowed="xmin, ymin, xmax, ymax, or x, y, w, h",
        mend="set ingestion.source.box_format to xyxy or xywh"
        if whole
        else "name them: ingestion.source.box_columns",
    )


def _size_columns(columns: list[str]) -> tuple[str, str] | None:
    by_name = {column.lower(): column for column in columns}
    found = [
        next((by_name[n] for n in names if n in by_name), None)
        for names in (_IMAGE_WIDTH, _IMAGE_HEIGHT)
    ]
    return (str(found[0]), str(found[1])) if all(found) else None


def _pick(
    columns: list[str], named: str | None, usual: Sequence[str], role: str, table: str
) -> str | None:
    if named is not None and named not in columns:
        raise DataError(
            f"{table} has no column {named!r}{nearest(named, columns)}",
            found=columns,
            mend=f"correct ingestion.source.{role}_column",
        )
    by_name = {column.lower(): column for column in reversed(columns)}
    return named or next((by_name[name] for name in usual if name in by_name), None)


def _is_numeric(cells: pd.Series) -> bool:
    words = cells[cells.str.strip() != ""]
    return bool(pd.to_numeric(words, errors="coerce").notna().all())


def _read_table(
    table: pd.DataFrame,
    columns: BoxColumns,
    place: str,
    index: ImageIndex,
    found: dict[str, _Image],
    options: SourceOptions,
    reading: SourceReading,
) -> None:
    differing: dict[str, list[str]] = {}
    missing: dict[str, tuple[str, str]] = {}
    of_table = split_of_file(place)
    for number, values in zip(table.index, table.to_numpy(object), strict=True):
        row, cells = f"{place}:{number}", dict(zip(table.columns, values, strict=True))
        name = str(cells[columns.path]).strip()
        where = index.find(name, place)
        if not where.path:
            missing.setdefault(name, (row, where.how))
            continue
        if where.how and "." in name:
            differing.setdefault(where.how, []).append(f"{name} is {where.path}")
        split = split_named(str(cells[columns.split])) if columns.split else of_table
        image = found.get(where.path)
        if image is None:
            group = str(cells[columns.group]).strip() if columns.group else ""
            image = found[where.path] = _Image(row, split, group, _size(cells, columns))
        elif image.split != split:
            reading.leave_out(
                where.path, f"listed in {image.split} and in {split}; state one split", row
            )
            continue
        _add_box(image, where.path, cells, columns, row, reading)
    for name, (row, how) in missing.items():
        what = SEVERAL if how == "several" else MISSING
        reading.refuse(name, what if name else "blank path; fill it in", row)
    for how, lines in differing.items():
        reading.findings.append(
            f"{place}: {len(lines)} rows name images with another {how}, e.g. {lines[0]}"
        )


def _add_box(
    image: _Image,
    path: str,
    cells: dict[str, str],
    columns: BoxColumns,
    row: str,
    reading: SourceReading,
) -> None:
    texts = [str(cells[column]).strip() for column in columns.corners]
    if len(texts) == 1:
        texts = _NUMBER.findall(texts[0])
    label = reading.class_name(str(cells[columns.label]))
    if not any(texts):
        if label:
            reading.leave_out(path, "box without corners; fill them in, or blank the class", row)
        return
    corners = _corners(texts, columns.format)
    if isinstance(corners, str):
        reading.leave_out(path, corners, row)
    else:
        image.boxes.append(StatedBox(corners, label, row))


def _corners(texts: list[str], form: str) -> Corners | str:
    try:
        a, b, c, d = (float(text) for text in texts)
    except ValueError:
        return "box whose corners are no four numbers; correct them"
    if form == "xyxy":
        return a, b, c, d
    if c < 0 or d < 0:
        return f"box of negative size (width {c:g}, height {d:g}); correct it"
    return a, b, a + c, b + d


def _size(cells: dict[str, str], columns: BoxColumns) -> tuple[int, int] | None:
    if columns.size is None:
        return None
    width, height = (cells[column] for column in columns.size)
    return stated_size(width, height)
