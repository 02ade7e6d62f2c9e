"""Files that name mask values or colours.

``classes.txt`` (a name per line, or ``7 name``), ``label_colors.txt`` (``r g b name``),
``labelmap.txt`` (``name:r,g,b::``), CSV with a name and r, g, b, ``dataset_meta.json`` of Datumaro,
``objectInfo150.txt`` of ADE20K.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import category

import pandas as pd

from graft.vision.data.file_bytes import read_stated
from graft.vision.data.mask_files import Colour
from graft.vision.data.sources.reading import is_readable_name, printable, stays_inside
from graft.vision.data.sources.table_file import load_table, text_of
from graft.vision.errors import DataError

USUAL_NAMES = (
    "classes.txt",
    "class_names.txt",
    "labels.txt",
    "label_colors.txt",
    "label_colours.txt",
    "labelmap.txt",
    "labelmap.csv",
    "class_dict.csv",
    "class_dict_seg.csv",
    "classes.csv",
    "dataset_meta.json",
    "objectinfo150.txt",
)


@dataclass(frozen=True)
class ClassNames:
    """Names by mask value and by colour, in the file's order."""

    values: dict[int, str] = field(default_factory=dict)
    colours: dict[Colour, str] = field(default_factory=dict)
    file: str = ""

    @property
    def names(self) -> list[str]:
        """Each name once, in order."""
        return list(dict.fromkeys([*self.values.values(), *self.colours.values()]))


def find_class_table(base: Path, named: str | None) -> Path | None:
    """The table named, or the first with a usual name in the folder. Raises `DataError`."""
    if named is not None:
        if not (base / named).is_file() or not stays_inside(base, base / named):
            raise DataError(
                f"class table {named} is not in {base}",
                found=[path.name for path in sorted(base.iterdir())][:10],
                mend="correct ingestion.source.class_table",
            )
        return base / named
    inside = (path for path in sorted(base.iterdir()) if stays_inside(base, path))
    files = {path.name.lower(): path for path in inside if path.is_file()}
    return next((files[name] for name in USUAL_NAMES if name in files), None)


def read_class_table(path: Path) -> ClassNames:
    """Names by value and colour.

    Raises:
        DataError: when the file names nothing, or one value or colour twice.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        pairs = _of_meta(path)
    elif suffix in (".csv", ".tsv") or path.name.lower().startswith("objectinfo"):
        pairs = _of_csv(path)
    else:
        pairs = _of_text(path)
    values: dict[int, str] = {}
    colours: dict[Colour, str] = {}
    for place, (value, colour, name) in enumerate(pairs):
        number = place if value is None else value
        if number in values or (colour is not None and colour in colours):
            raise DataError(f"{path.name} names {colour or number} twice", mend="correct it")
        if not is_readable_name(name):
            raise DataError(f"{path.name}: a name that is no text", found=printable(name))
        values[number] = name
        if colour is not None:
            colours[colour] = name
    if not values:
        raise DataError(f"{path.name} names no class", allowed="a name per line")
    return ClassNames(values, colours, path.name)


def _bytes_of(path: Path) -> bytes:
    try:
        return read_stated(path)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read", found=error.strerror or error) from error


Line = tuple[int | None, Colour | None, str]


def _of_text(path: Path) -> list[Line]:
    try:
        text, _ = text_of(_bytes_of(path))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is cut off", found=error, allowed="a name per line"
        ) from error
    if any(category(letter) == "Cc" and letter not in "\t\r\n" for letter in text):
        raise DataError(f"{path.name} holds other than text", allowed="a name per line")
    lines = text.splitlines()
    return [_line(line.strip(), path) for line in lines if line.strip() and line.strip()[0] != "#"]


def _line(line: str, path: Path) -> Line:
    """``r g b name``, ``name r g b``, ``name:r,g,b::``, ``7 name``, ``7: name`` or ``name``."""
    mapped = re.fullmatch(r"([^:]+):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?", line)
    if mapped:
        return None, _colour(mapped.groups()[1:], path), mapped.group(1).strip()
    first = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)", line)
    if first:
        return None, _colour(first.groups()[:3], path), first.group(4).strip()
    last = re.fullmatch(r"(.+?)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+)", line)
    if last:
        return None, _colour(last.groups()[1:], path), last.group(1).strip()
    numbered = re.fullmatch(r"(\d+)\s*[:=,\s]\s*(.*\D.*)", line)
    if numbered and (number := _number(numbered.group(1))) is not None:
        return number, None, numbered.group(2).strip()
    return None, None, line


def _number(text: str) -> int | None:
    """Digits as the number that a mask may hold; None for other signs, and for too many."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _of_csv(path: Path) -> list[Line]:
    delimiter = "\t" if path.name.lower().startswith("objectinfo") else None
    table = load_table(path, delimiter)
    by_name = {column.lower(): column for column in table.columns}
    name = next((by_name[n] for n in ("name", "class", "label", "classes") if n in by_name), None)
    value = next((by_name[n] for n in ("idx", "id", "value", "index") if n in by_name), None)
    rgb = [by_name[n] for n in ("r", "g", "b") if n in by_name]
    if name is None:
        raise DataError(f"{path.name} has no column of names", found=list(table.columns))
    return [_row(row, name, value, rgb, path) for _, row in table.iterrows()]


def _row(row: "pd.Series[str]", name: str, value: str | None, rgb: list[str], path: Path) -> Line:
    number = row[value].strip() if value else ""
    colour = _colour([row[c].strip() for c in rgb], path) if len(rgb) == 3 else None
    return _number(number), colour, row[name].strip()


def _of_meta(path: Path) -> list[Line]:
    try:
        record = json.loads(_bytes_of(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read as JSON", found=str(error)[:200]) from error
    names = record.get("label_map") if isinstance(record, dict) else None
    if not isinstance(names, dict) or None in map(_number, names):
        raise DataError(f"{path.name} has no label_map from values to names")
    colours = record.get("segmentation_colors")
    colours = colours if isinstance(colours, list) else []
    lines: list[Line] = []
    for place, (key, name) in enumerate(names.items()):
        colour = _colour(colours[place], path) if place < len(colours) else None
        lines.append((_number(key), colour, str(name)))
    return lines


def _colour(parts: object, path: Path) -> Colour:
    try:
        r, g, b = (int(part) for part in parts)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path.name}: a colour that is no three numbers", found=parts) from error
    if not all(0 <= part <= 255 for part in (r, g, b)):
        raise DataError(f"{path.name}: a colour beyond 0..255", found=f"{r}, {g}, {b}")
    return r, g, b
