"""Writing that is all or nothing: the previous value survives any failure."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARK = ".part-"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name only when the block succeeds."""
    with blaming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}{_MARK}", dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            _sync(part)
            part.chmod(0o644)  # mkstemp's 0600 would lock colleagues out
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_file`, for a folder; the old folder goes only when the new one is whole."""
    with blaming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _recover(path)
        _sweep(path)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}{_MARK}", dir=path.parent))
        old = path.with_name(f".{path.name}.old")
        try:
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    _sync(file)
            part.chmod(0o755)
            if path.exists():
                path.rename(old)
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            _recover(path)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Let a failed write name what was to be written, not a temporary file or nothing at all."""
    try:
        yield
    except OSError as error:
        if error.filename is None or _MARK in str(error.filename):
            error.filename = str(path)
        raise


def _recover(path: Path) -> None:
    """Finish or undo a swap of folders that a crash cut in two."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove what a killed run left behind."""
    for part in path.parent.glob(f".{path.name}{_MARK}*"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
