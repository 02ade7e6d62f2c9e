"""Tables in CSV or parquet: a path, its label or labels, and optionally split and group."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import normalize

import pandas as pd

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.columns import choose_columns
from graft.vision.data.sources.folders import is_image, walk_files
from graft.vision.data.sources.reading import (
    MISSING,
    OUTSIDE,
    SourceReading,
    SourceRow,
    base_of,
    classes_truth,
    compile_group_pattern,
    folder_below,
    group_of,
    printable,
    split_named,
    stays_inside,
)
from graft.vision.data.sources.table_file import TABLE_ENDINGS, load_table
from graft.vision.errors import DataError

YES, NO = ("1", "1.0", "true", "yes"), ("", "0", "0.0", "false", "no")
JOINT = "|"
"""Joins several labels wherever they are shown, so that no label may hold it."""


def read_table(root: Path, options: SourceOptions) -> SourceReading:
    """Read the tables of a case; every row is used or stands in the quarantine with its number."""
    reading = SourceReading()
    below = os.path.join(options.folder, options.images_folder)  # noqa: PTH118 - "" stays ""
    images = folder_below(root, below, "ingestion.source.images_folder")
    rows = _Rows(root, images, options, reading)
    for path in find_tables(root, base_of(root, options), options.table):
        rows.read(path)
    _name_unlisted(root, images, reading)
    return reading


def _name_unlisted(root: Path, images: Path, reading: SourceReading) -> None:
    """Say which images stand in no row: they are not used."""
    refused = {
        (images / row["file"]).relative_to(root).as_posix()
        for row in reading.quarantine
        if not PurePosixPath(row["file"]).is_absolute()
    }
    stated = {row.path for row in reading.rows} | refused
    paths = (file.relative_to(root).as_posix() for file in walk_files(images) if is_image(file))
    unlisted = [printable(path) for path in paths if path not in stated]
    if unlisted:
        reading.findings.append(
            f"{len(unlisted)} images stand in no row and are not used: {', '.join(unlisted[:5])}"
        )


def find_tables(root: Path, base: Path, names: tuple[str, ...]) -> list[Path]:
    """The tables named, or all there are. Raises `DataError` when there is none."""
    missing = [
        name for name in names if not (base / name).is_file() or not stays_inside(root, base / name)
    ]
    if missing:
        raise DataError(
            f"table {missing[0]} is not in {base}",
            found=[path.name for path in sorted(base.iterdir())][:10],
            mend="correct ingestion.source.table",
        )
    found = [base / name for name in names] or sorted(
        path
        for path in base.iterdir()
        if path.suffix.lower() in TABLE_ENDINGS and stays_inside(root, path)
    )
    if not found:
        raise DataError(
            f"no table in {base}",
            allowed=", ".join(TABLE_ENDINGS),
            mend="name ingestion.source.table",
        )
    return found


class _RowError(Exception):
    """Why a row cannot be used."""


@dataclass
class _Rows:
    """Reads table after table; an image is taken once, wherever it stands."""

    root: Path
    images: Path
    options: SourceOptions
    reading: SourceReading
    seen: dict[str, str] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        table = load_table(path, self.options.delimiter)
        columns = choose_columns(table, self.options, path)
        if table.attrs.get("encoding") in ("cp1252", "latin-1"):
            self.reading.findings.append(
                f"{path.name} is not UTF-8; it was read as {table.attrs['encoding']}"
            )
        _check_splits(table, columns["split"], path, self.options, self.reading)
        pattern = compile_group_pattern(self.options.group_pattern)
        for number, values in zip(table.index, table.to_numpy(object), strict=True):
            row, cells = f"{path.name}:{number}", dict(zip(table.columns, values, strict=True))
            name = str(cells[str(columns["path"])]).strip()
            try:
                relative, truth = self._use(name, cells, columns["label"])
            except _RowError as reason:
                self.reading.refuse(name, str(reason), row)
                continue
            split = split_named(str(cells.get(columns["split"] or "", "")))
            group = str(cells.get(columns["group"] or "", "")).strip()
            group = group or group_of(relative, pattern)
            self.reading.rows.append(SourceRow(relative, truth, split, group, row))

    def _use(self, name: str, cells: dict[str, str], column: str | None) -> tuple[str, str]:
        """Path and truth of a row. Raises `_RowError`."""
        if not name:
            raise _RowError("blank path; fill it in")
        truth = classes_truth(_labels(cells, column, self.options, self.reading))
        relative = self._locate(name).relative_to(self.root).as_posix()
        if relative in self.seen:
            other = "the same" if self.seen[relative] == truth else "another"
            raise _RowError(f"listed again, with {other} label; keep one row")
        self.seen[relative] = truth
        return relative, truth

    def _locate(self, name: str) -> Path:
        """The image's file, which some systems spell in other bytes than the table does."""
        posix = PurePosixPath(name.replace("\\", "/"))
        if posix.is_absolute() or PureWindowsPath(name).drive or ".." in posix.parts:
            raise _RowError("the path leaves the raw folder; state it from there")
        spellings = (str(posix), normalize("NFC", str(posix)), normalize("NFD", str(posix)))
        for file in (self.images / spelling for spelling in spellings):
            if os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises on too long names
                if not stays_inside(self.root, file):
                    raise _RowError(OUTSIDE)
                return file
        raise _RowError(MISSING)


def _check_splits(
    table: pd.DataFrame,
    column: str | None,
    path: Path,
    options: SourceOptions,
    reading: SourceReading,
) -> None:
    """Say which words name no split. Raises `DataError` where a declared column names none."""
    words = set() if column is None else set(table[column].str.strip()) - {""}
    unknown = sorted(word for word in words if not split_named(word))
    if options.split_column and len(unknown) == len(words):
        raise DataError(
            f"column {column!r} of {path.name} names no split",
            found=", ".join(unknown[:5]) or "blank cells only",
            allowed="train, val, test and their usual synonyms",
            mend="correct ingestion.source.split_column or its cells, or set it to null",
        )
    if unknown:
        reading.findings.append(
            f"{path.name}: column {column!r} holds words that name no split "
            f"(train, val, test): {', '.join(unknown[:5])}"
        )


def _labels(
    cells: dict[str, str], column: str | None, options: SourceOptions, reading: SourceReading
) -> list[str]:
    """The labels of a row. Raises `_RowError`."""
    if options.label_columns:
        labels = [name for name in options.label_columns if _flag(cells, name)]
    else:
        text = str(cells[str(column)])
        parts = (
            text.split(options.label_delimiter)
            if options.multi_label
            else [reading.class_name(text)]
        )
        labels = [part.strip() for part in parts if part.strip()]
    if options.multi_label and any(JOINT in label for label in labels):
        raise _RowError(f"a label holds {JOINT!r}, which joins several labels; rename it")
    if not labels and not options.multi_label:
        raise _RowError("blank label; fill it in")
    if len(labels) > 1 and not options.multi_label:
        raise _RowError("several labels; keep one, or set ingestion.source.multi_label")
    return labels


def _flag(cells: dict[str, str], name: str) -> bool:
    text = str(cells[name]).strip().lower()
    if text not in (*YES, *NO):
        raise _RowError(f"column {name!r} holds {text!r}, neither 0 nor 1; correct it")
    return text in YES
