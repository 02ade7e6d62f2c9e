"""One file, written all or nothing; the ending of its name chooses the format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from graft.adapters.atomic import atomic_file

Reader = Callable[[Path], Any]
Writer = Callable[[Any, Path], None]


def _read_parquet(path: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(path)


def _read_csv(path: Path) -> Any:
    import pandas as pd

    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _write_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".parquet": (_read_parquet, lambda value, path: value.to_parquet(path, index=False)),
    ".csv": (_read_csv, lambda value, path: value.to_csv(path, index=False)),
    ".json": (lambda path: json.loads(path.read_text()), _write_json),
    ".html": (lambda path: path.read_text(), lambda value, path: path.write_text(value) and None),
    ".png": (lambda path: path.read_bytes(), lambda value, path: path.write_bytes(value) and None),
}


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
        """Read the file."""
        return FORMATS[self.path.suffix][0](self.path)

    def save(self, data: Any) -> None:
        """Write the file, or leave the old one as it was."""
        with atomic_file(self.path) as part:
            FORMATS[self.path.suffix][1](data, part)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}
