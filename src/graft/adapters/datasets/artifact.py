"""One file, written all or nothing; the ending of its name chooses the format."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from graft.adapters.atomic import atomic_file
from graft.vision.errors import DataError

Reader = Callable[[Path], Any]
Writer = Callable[[Any, Path], object]


def _read_parquet(path: Path) -> Any:
    import pandas as pd

    # Parquet keeps a checksum per page, and compares it only when asked to.
    return pd.read_parquet(path, page_checksum_verification=True)


def _write_parquet(value: Any, path: Path) -> None:
    value.to_parquet(path, index=False, write_page_checksum=True)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet takes for more than text, and the mark that stops it."""


def read_csv(path: Path | BytesIO) -> Any:
    """A table of texts, as they were before `_write_csv`."""
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.map(lambda cell: cell[1:] if cell.startswith("'") else cell)


def _write_csv(value: Any, path: Path) -> None:
    """Names of files and classes may begin like a formula: a mark before them keeps them text."""
    value.map(_inert).to_csv(path, index=False)


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _write_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".parquet": (_read_parquet, _write_parquet),
    ".csv": (read_csv, _write_csv),
    ".json": (lambda path: json.loads(path.read_text()), _write_json),
    ".html": (lambda path: path.read_text(), lambda value, path: path.write_text(value)),
    ".png": (lambda path: path.read_bytes(), lambda value, path: path.write_bytes(value)),
}


def not_there(path: Path) -> DataError:
    """The error for an output that a pipeline needs and no run has made."""
    return DataError(
        f"{path} is not there",
        mend="run the pipelines that come before, or the whole pipeline (without --pipelines)",
    )


class ArtifactDataset(AbstractDataset[Any, Any]):
    """Tables (.parquet, .csv), records (.json), pages (.html) and pictures (.png).

    Args:
        filepath: where it lies; the folder is made when needed.
        metadata: ``mlflow: artifact | metrics | history`` says how a run keeps it.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.path = Path(filepath)
        self.metadata = metadata
        if self.path.suffix not in FORMATS:
            raise DatasetError(
                f"no format for {filepath}; allowed endings: {', '.join(FORMATS)}; "
                "next: correct the catalog entry"
            )

    def load(self) -> Any:
        """Read the file. Raises `DataError` when it is not there or damaged."""
        try:
            return FORMATS[self.path.suffix][0](self.path)
        except FileNotFoundError as error:
            raise not_there(self.path) from error
        except Exception as error:  # each format has its own kinds
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(
                f"{self.path} is damaged",
                found=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}",
                mend="run the whole pipeline again: it makes this file anew",
            ) from error

    def save(self, data: Any) -> None:
        """Write the file, or leave the old one as it was."""
        with atomic_file(self.path) as part:
            FORMATS[self.path.suffix][1](data, part)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}
