"""The tables that rooms hand to each other, their columns, and what is true of them.

Tables are pandas frames so that each can be written as parquet or CSV and read by anyone.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from graft.vision.errors import DataError

Array = np.ndarray[Any, Any]
Truth = dict[str, Array]
"""What annotators said of one image, as arrays. Its keys belong to the task."""


class MaskReader(Protocol):
    """Anything that gives the mask of class numbers that a truth text points at."""

    def read(self, sha256: str) -> Array:
        """(H, W) uint8 of the upright original's size."""


MANIFEST_COLUMNS = {
    "id": "path below the raw folder, with forward slashes; unique",
    "path": "the same path, kept apart so that an id may outlive a move",
    "sha256": "SHA-256 of the file's bytes",
    "width": "pixels of the upright original",
    "height": "pixels of the upright original",
    "channels": "channels of the original: 1, 3 or 4",
    "truth": 'JSON of what annotators said, e.g. {"classes": ["ant"]}',
    "group": "patient, track or drive; empty where there is none",
    "given_split": "the data set's own split: train, val, test, or empty",
    "notes": "what decoding did beside the plain, e.g. 'exif orientation 6'; empty where nothing",
}
SPLIT_COLUMNS = {
    **MANIFEST_COLUMNS,
    "cluster": "near-copies share it",
    "split": "train, val or test",
}
QUARANTINE_COLUMNS = {
    "file": "path",
    "row": "row of the table it came from, or empty",
    "reason": "why",
}
SPLITS = ("train", "val", "test")
DOUBTED = "doubted_truths"
"""In the probe's report: training images, or objects in them, whose truth is likely wrong."""


def new_table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame with exactly these columns, also when there is no row."""
    return pd.DataFrame(list(rows), columns=list(columns))


def check_table(table: pd.DataFrame, columns: Mapping[str, str], what: str) -> pd.DataFrame:
    """Return the table, or raise `DataError` naming the columns it lacks."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(f"{what} lacks columns", found=list(table.columns), allowed=list(columns))
    return table


def digest_text(text: str) -> str:
    """SHA-256 of a text, as hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of any JSON-able value, independent of the order of its keys."""
    return digest_text(json.dumps(value, sort_keys=True, ensure_ascii=False))


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digests_below(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by its path there; empty where there is no folder.

    What Python leaves beside code that was imported is not counted.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in paths}


def data_digest(manifest: pd.DataFrame) -> str:
    """One digest over every byte of every image and every truth, whatever the order of rows."""
    rows = manifest[["id", "sha256", "truth"]].astype(str)
    return digest_of(sorted(rows.to_numpy(object).tolist()))


def named_rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples; typed as anything, for a table's columns have no types."""
    yield from table.itertuples(index=False)
