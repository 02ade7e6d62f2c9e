"""Tables in CSV or parquet: a path, its label or labels, and optionally split and group."""

import csv
import os
import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pandas as pd

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.reading import (
    SourceReading,
    SourceRow,
    base_of,
    classes_truth,
    compile_group_pattern,
    group_of,
    split_named,
    stays_inside,
)
from graft.vision.errors import DataError, nearest

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "image",
    "image_path",
    "image_name",
    "img",
    "id",
)
LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classes",
    "class_name",
    "label_name",
    "category",
    "target",
    "truth",
    "diagnosis",
    "tags",
)
SPLIT_COLUMN_NAMES = ("split", "set", "subset", "fold", "partition")
GROUP_NAMES = ("group", "patient", "patient_id", "subject", "track", "drive", "case_id", "video")


def read_table(root: Path, options: SourceOptions) -> SourceReading:
    """Read the tables of a case; every row is used or stands in the quarantine with its number."""
    reading = SourceReading()
    base = base_of(root, options)
    seen: dict[str, str] = {}
    for path in find_tables(base, options.table):
        table = load_table(path, options.delimiter)
        columns = choose_columns(table, options, path)
        _read_rows(root, base / options.images_folder, path, table, columns, options, reading, seen)
    return reading


def find_tables(base: Path, names: tuple[str, ...]) -> list[Path]:
    """The tables named, or the only ones there are."""
    if names:
        missing = [name for name in names if not (base / name).is_file()]
        if missing:
            raise DataError(
                f"table {missing[0]} is not in {base}",
                found=[path.name for path in sorted(base.iterdir())][:10],
                mend="correct ingestion.source.table",
            )
        return [base / name for name in names]
    found = sorted(path for path in base.iterdir() if path.suffix.lower() in TABLE_ENDINGS)
    if not found:
        raise DataError(
            f"no table in {base}",
            allowed=", ".join(TABLE_ENDINGS),
            mend="name ingestion.source.table",
        )
    return found


def load_table(path: Path, delimiter: str | None = None) -> pd.DataFrame:
    """All cells as text; byte-order mark, encoding and delimiter are found out.

    Raises:
        DataError: when the file is no table, or a row holds more cells than the header names.
    """
    try:
        with warnings.catch_warnings():
            # Else pandas drops the cells beyond the header, and half a label with them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return _load_table(path, delimiter)
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"{path.name} cannot be read as a table",
            found=str(error).strip()[:200],
            mend="quote cells that hold the delimiter, or name ingestion.source.delimiter",
        ) from error


def _load_table(path: Path, delimiter: str | None) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        table = pd.read_parquet(path)
        _refuse_lists(table, path)
        return table.astype(object).where(table.notna(), "").astype(str)
    data = path.read_bytes()
    encoding = "utf-8-sig" if _is_utf8(data) else "latin-1"
    if delimiter is None:
        delimiter = _delimiter_of(data[:65536].decode(encoding, "replace"))
    table = pd.read_csv(
        path,
        sep=delimiter,
        dtype=str,
        keep_default_na=False,
        encoding=encoding,
        skipinitialspace=True,
        on_bad_lines="error",
        index_col=False,
    )
    table.columns = [str(name).strip() for name in table.columns]
    return table


def _refuse_lists(table: pd.DataFrame, path: Path) -> None:
    """Lists as text would be class names nobody wrote."""
    lists = [
        name
        for name in table.columns
        if table[name]
        .map(lambda cell: hasattr(cell, "__len__") and not isinstance(cell, str | bytes))
        .any()
    ]
    if lists:
        raise DataError(
            f"{path.name} holds lists",
            found=f"in {lists}",
            allowed="text, with ingestion.source.label_delimiter between several labels",
        )


def choose_columns(
    table: pd.DataFrame, options: SourceOptions, path: Path
) -> dict[str, str | None]:
    """Which column is what: as the options say, else by the usual names."""
    names = list(table.columns)
    asked = {
        "path": (options.path_column, PATH_NAMES),
        "label": (options.label_column, LABEL_NAMES),
        "split": (options.split_column, SPLIT_COLUMN_NAMES),
        "group": (options.group_column, GROUP_NAMES),
    }
    chosen: dict[str, str | None] = {}
    for role, (name, usual) in asked.items():
        if name is not None and name not in names:
            raise DataError(
                f"{path.name} has no column {name!r}{nearest(name, names)}",
                found=names,
                mend=f"correct ingestion.source.{role}_column",
            )
        by_name = next((n for u in usual for n in names if n.lower() == u), None)
        chosen[role] = name or by_name
    absent = [name for name in options.label_columns if name not in names]
    if absent:
        raise DataError(f"{path.name} lacks label columns", found=names, allowed=absent)
    if chosen["path"] is None or (chosen["label"] is None and not options.label_columns):
        raise DataError(
            f"{path.name} has no column for {'path' if chosen['path'] is None else 'label'}",
            found=names,
            mend="name it: ingestion.source.path_column, label_column or label_columns",
        )
    return chosen


def _read_rows(
    root: Path,
    images: Path,
    path: Path,
    table: pd.DataFrame,
    columns: dict[str, str | None],
    options: SourceOptions,
    reading: SourceReading,
    seen: dict[str, str],
) -> None:
    pattern = compile_group_pattern(options.group_pattern)
    _name_unknown_splits(table, columns["split"], path, reading)
    for number, cells in enumerate(keyed_rows(table), start=2):
        row = f"{path.name}:{number}"
        name = str(cells[str(columns["path"])]).strip()
        labels = _labels(cells, columns["label"], options)
        reason = _fault(root, images, name, labels, options)
        if reason:
            reading.refuse(name, reason, row)
            continue
        relative = (images / _posix(name)).relative_to(root).as_posix()
        truth = classes_truth(labels)
        if relative in seen:
            same = (
                "again, with the same label"
                if seen[relative] == truth
                else "again, with another label"
            )
            reading.refuse(name, f"listed {same}", row)
            continue
        seen[relative] = truth
        split = split_named(str(cells.get(columns["split"] or "", "")))
        group = str(cells.get(columns["group"] or "", "")).strip() or group_of(relative, pattern)
        reading.rows.append(SourceRow(relative, truth, split, group, row))


def _name_unknown_splits(
    table: pd.DataFrame, column: str | None, path: Path, reading: SourceReading
) -> None:
    words = set() if column is None else set(table[column].astype(str).str.strip())
    unknown = sorted(word for word in words if word and not split_named(word))
    if unknown:
        reading.findings.append(
            f"{path.name}: column {column!r} holds words that name no split "
            f"(train, val, test): {', '.join(unknown[:5])}"
        )


def _labels(cells: dict[str, str], column: str | None, options: SourceOptions) -> list[str]:
    if options.label_columns:
        return [
            n
            for n in options.label_columns
            if str(cells[n]).strip().lower() in ("1", "1.0", "true", "yes")
        ]
    text = str(cells[str(column)])
    parts = text.split(options.label_delimiter) if options.multi_label else [text]
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _fault(root: Path, images: Path, name: str, labels: list[str], options: SourceOptions) -> str:
    """Why a row cannot be used, or an empty string."""
    if not name:
        return "blank path"
    if not labels and not options.multi_label:
        return "blank label"
    posix = PurePosixPath(_posix(name))
    if posix.is_absolute() or PureWindowsPath(name).drive or ".." in posix.parts:
        return "the path leaves the raw folder"
    file = images / posix
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises on names that are too long
        return "the file is missing"
    return "" if stays_inside(root, file) else "a link that leaves the raw folder"


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _delimiter_of(text: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, most cells first."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    best, cells = ",", 1
    for delimiter in (",", ";", "\t", "|"):
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(widths) == 1 and max(widths) > cells:
            best, cells = delimiter, max(widths)
    return best


def keyed_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as mappings from column to cell."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy(object)]
