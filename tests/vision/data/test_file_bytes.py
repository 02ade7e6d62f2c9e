"""Bytes of image files: all of a regular file of a sane size, and nothing else is waited for."""

import os
import re
from pathlib import Path

import pytest

from graft.vision.data import file_bytes
from graft.vision.data.file_bytes import BYTES_MIN, STATED_BYTES_MAX, read_stated, read_within
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


def test_read_stated__refuses_what_is_no_file_or_too_large_before_it_reads(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"{}")
    assert read_stated(tmp_path / "x") == b"{}"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "absent"):
        with pytest.raises(OSError, match="not a regular file; bring the file itself"):
            read_stated(path)
    with (tmp_path / "x").open("wb") as file:
        file.truncate(STATED_BYTES_MAX + 1)  # which takes no room
    said = f"{STATED_BYTES_MAX + 1} bytes, of which at most {STATED_BYTES_MAX} are read; split"
    with pytest.raises(OSError, match=said):
        read_stated(tmp_path / "x")


def test_readers__look_at_the_size_of_what_they_read() -> None:
    """All of a file is asked for in `file_bytes` alone, but by what draws sets of its own."""
    data = Path(file_bytes.__file__).parent
    whole = {
        path.relative_to(data).as_posix()
        for path in data.rglob("*.py")
        if re.search(r"\.read_(bytes|text)\(", path.read_text())
    }
    assert {name for name in whole if not name.startswith("street_scenes/")} == {"file_bytes.py"}
