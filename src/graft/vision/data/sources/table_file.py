"""A table file, CSV or parquet, as text cells; encoding and delimiter are found out."""

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

import pandas as pd

from graft.vision.data.file_bytes import check_stated, read_stated
from graft.vision.errors import DataError

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")


def load_table(path: Path, delimiter: str | None = None) -> pd.DataFrame:
    """All cells as text, indexed by their row in the file, of which the header is the first.

    Blank rows are left out; a column without a name is called by its place. ``attrs["encoding"]``
    says how the file was read.

    Raises:
        DataError: when the file is no table, a row holds more cells than the header names, or a
            column's name stands twice.
    """
    try:
        check_stated(path)
        return _load_parquet(path) if path.suffix.lower() == ".parquet" else _load(path, delimiter)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path.name} cannot be read as a table",
            found=str(error).strip()[:200],
            mend="quote cells that hold the delimiter, or name ingestion.source.delimiter",
        ) from error


def _load_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
        text = table.astype(object).where(table.notna(), "").astype(str)
    except Exception as error:  # many kinds are raised on damaged files, some by the first look
        raise ValueError(f"{type(error).__name__}: {error}") from error
    _refuse_lists(table, path)
    return text.set_axis(range(2, len(text) + 2), axis=0)


def _load(path: Path, delimiter: str | None) -> pd.DataFrame:
    text, encoding = text_of(read_stated(path))
    body = text.lstrip("\r\n")  # else pandas finds no column in a first row of nothing
    if not body:
        raise ValueError("there is no row")
    above = len(text[: len(text) - len(body)].splitlines())
    cells = pd.read_csv(
        io.StringIO(body, newline=""),
        sep=delimiter or _delimiter_of(text),
        header=None,
        dtype=str,
        na_filter=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        on_bad_lines="error",
    ).fillna("")
    cells.index += 1 + above
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise ValueError("there is no row")
    header = enumerate(cells.iloc[0], start=1)
    names = [str(name).strip() or f"column {number}" for number, name in header]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"column {twice[0]!r} stands twice")
    table = cells.iloc[1:].set_axis(names, axis=1)
    table.attrs["encoding"] = encoding
    return table


def text_of(data: bytes) -> tuple[str, str]:
    """The text and its encoding; what is not Unicode is taken for what Windows writes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16"), "utf-16"
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def _delimiter_of(text: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, most cells first."""
    lines = [line for line in text[:65536].splitlines()[:20] if line.strip()]
    best, cells = ",", 1
    for delimiter in (",", ";", "\t", "|"):
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(widths) == 1 and max(widths) > cells:
            best, cells = delimiter, max(widths)
    return best


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
