"""Writing is all or nothing."""

from pathlib import Path

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
