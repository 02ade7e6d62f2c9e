"""Bytes of image files: all of a regular file of a sane size, and nothing else is waited for."""

import os
from pathlib import Path

import pytest

from graft.vision.data.file_bytes import BYTES_MIN, read_within
from graft.vision.errors import UnusableImageError


def refusal(path: Path) -> str:
    with pytest.raises(UnusableImageError) as refused:
        read_within(path, 1000)
    return str(refused.value)


def test_read_within__gives_all_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"some")
    assert read_within(tmp_path / "x", 1000) == b"some"


def test_read_within__refuses_what_is_no_file_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "film").open("wb") as film:
        film.truncate(BYTES_MIN + 1)
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        assert "cannot be read (is not a regular file)" in refusal(path)
    assert "there is no such file" in refusal(tmp_path / "absent")
    assert "cannot be read" in refusal(tmp_path / "loop")
    assert "cannot be read" in refusal(Path("a\0b"))
    assert "cannot be read" in refusal(tmp_path / ("a" * 300))
    assert f"too many bytes; found: {BYTES_MIN + 1}" in refusal(tmp_path / "film")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read what is closed")
def test_read_within__says_why_a_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"some")
    (tmp_path / "x").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "x")
