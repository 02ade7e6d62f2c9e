"""Writing is all or nothing."""

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graft.adapters.atomic import atomic_file, atomic_folder


def test_atomic_file__keeps_the_old_value_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_file__sweeps_what_a_killed_run_left(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    (tmp_path / ".value.json.part-xyz").write_text("half")
    with atomic_file(path) as part:
        part.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]
    assert path.read_text() == "new"


def test_atomic_folder__keeps_the_old_folder_when_writing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(folder) as part:
        (part / "a").write_text("half")
        raise RuntimeError
    assert (folder / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_atomic_folder__replaces_the_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "gone").write_text("old")
    with atomic_folder(folder) as part:
        (part / "new").write_text("new")
    assert [p.name for p in folder.iterdir()] == ["new"]


def test_atomic_folder__brings_back_the_old_one_after_a_cut_swap(tmp_path: Path) -> None:
    old = tmp_path / ".model.old"
    old.mkdir()
    (old / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model"):
        raise RuntimeError
    assert (tmp_path / "model" / "a").read_text() == "old"


@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_atomic__names_what_was_to_be_written_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "value"
    monkeypatch.setattr("graft.adapters.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left on device: ") as caught, write(path) as part:
        (part if write is atomic_file else part / "a").write_text("new")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_atomic_file__names_what_was_to_be_written_when_files_may_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("old")
    with file_size_limit(1000), pytest.raises(OSError) as caught, atomic_file(path) as part:
        part.write_bytes(b"x" * 5000)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder__names_itself_and_not_the_source_where_a_copy_finds_no_room(
    tmp_path: Path,
) -> None:
    source, folder = tmp_path / "source", tmp_path / "raw"
    source.write_bytes(b"x" * 5000)
    with file_size_limit(1000), pytest.raises(OSError) as caught, atomic_folder(folder) as part:
        shutil.copyfile(source, part / "a")
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(folder))
    assert list(tmp_path.iterdir()) == [source]


@contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """The kernel's own refusal to let a file grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_atomic__leaves_alone_what_another_is_writing_now(tmp_path: Path, atomic: Any) -> None:
    def write(part: Path, text: str) -> None:
        (part if atomic is atomic_file else part / "file").write_text(text)

    target = tmp_path / "target"
    with atomic(target) as slow:
        write(slow, "slow")
        with atomic(target) as quick:
            write(quick, "quick")
        assert slow.exists()
    found = target if atomic is atomic_file else target / "file"
    assert found.read_text() == "slow"  # who ends last
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
