"""A folder that is replaced as a whole: whenever it is stopped, the earlier one is there again."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a path beside the folder to build at; it takes the folder's name when all went well.

    A reader never sees a part of it.
    """
    recover(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for litter in folder.parent.glob(f"{_part(folder)}*"):
        shutil.rmtree(litter, ignore_errors=True)  # of a killed process
    with tempfile.TemporaryDirectory(prefix=_part(folder), dir=folder.parent) as beside:
        new = Path(beside) / "new"
        try:
            yield new
        except OSError as error:
            error.filename = error.filename or str(folder)  # a write names no file
            raise
        if folder.exists():
            folder.rename(_old(folder))
        new.rename(folder)
        recover(folder)


def recover(folder: Path) -> None:
    """Finish or undo a swap that a killed process left half done."""
    old = _old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _part(folder: Path) -> str:
    return f".{folder.name}.part-"
