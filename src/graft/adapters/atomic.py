"""Writing that is all or nothing: the previous value survives any failure."""

import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = ".part-"
_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2."""


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
            with _held(part):
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
        recover(path)
        _sweep(path)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}{_MARK}", dir=path.parent))
        try:
            with _held(part):
                yield part
                for file in part.rglob("*"):
                    if file.is_file():
                        _sync(file)
                part.chmod(0o755)
                _put(part, path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            recover(path)


def recover(path: Path) -> None:
    """Finish or undo a swap of folders that a crash cut in two; for readers of a folder, too."""
    old = _old(path)
    if old.exists():
        if not path.exists():
            old.rename(path)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Let a failed write name what was to be written, not a temporary file or nothing at all."""
    try:
        yield
    except OSError as error:
        # Of a copy that finds no room, shutil names the source before the target.
        is_copy = error.filename2 is not None
        if error.filename is None or is_copy or _MARK in str(error.filename):
            error.filename = str(path)
        raise


def _put(part: Path, path: Path) -> None:
    if not (path.exists() and _exchange(part, path)):
        if path.exists():
            path.rename(_old(path))
        part.rename(path)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step, so that there is no moment without either.

    False where the system or its file system cannot.
    """
    try:
        change_names = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(change_names(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sweep(path: Path) -> None:
    """Remove what a killed run left behind, and not what another is writing now."""
    for part in path.parent.glob(f".{path.name}{_MARK}*"):
        if _is_held(part):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


@contextmanager
def _held(part: Path) -> Iterator[None]:
    """A lock that ends with this process, however it ends."""
    handle = os.open(part, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _is_held(part: Path) -> bool:
    try:
        handle = os.open(part, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
