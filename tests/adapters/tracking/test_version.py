"""A run cites a DVC version only where the raw folder still holds those bytes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graft.adapters.layers import packed_folder
from graft.adapters.packing import pack
from graft.adapters.tracking import version
from graft.adapters.tracking.version import data_version

RAW = Path("data/01_raw/birds")


def dvc(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments, "--quiet"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose raw folder DVC has added."""
    project = tmp_path_factory.mktemp("project")
    dvc(project, "init", "--no-scm")
    (project / ".dvcignore").write_text(".DS_Store\n")
    for name in ("owl/1.png", "owl/2.png", "ünï/3 x.png", "a.csv"):
        (project / RAW / name).parent.mkdir(parents=True, exist_ok=True)
        (project / RAW / name).write_text(f"bytes of {name}")
    (project / RAW / ".DS_Store").write_text("not data")
    dvc(project, "add", str(RAW))
    return project


@pytest.fixture
def project(tracked: Path, tmp_path: Path) -> Path:
    """A copy of it, whose files are its own."""
    return Path(shutil.copytree(tracked, tmp_path / "project"))


def stated(project: Path) -> str:
    return str(yaml.safe_load((project / f"{RAW}.dvc").read_text())["outs"][0]["md5"])


def look(project: Path) -> dict[str, str]:
    data_version.cache_clear()
    return data_version(project, RAW)


def test_version__is_what_dvc_states_while_the_bytes_are_those(project: Path) -> None:
    wanted = {"dvc.path": str(RAW), "dvc.md5": stated(project), "dvc.stated": stated(project)}
    assert look(project) == wanted
    assert look(project) == wanted


def add_a_file(folder: Path) -> None:
    (folder / "owl/4.png").write_text("new")


def remove_a_file(folder: Path) -> None:
    (folder / "owl/1.png").unlink()


def flip_a_byte_behind_the_clock(folder: Path) -> None:
    file = folder / "owl/1.png"
    before = file.stat()
    file.chmod(0o644)
    file.write_text("bytes of owl/1.pnG")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_two_names(folder: Path) -> None:
    (folder / "owl/1.png").rename(folder / "x")
    (folder / "owl/2.png").rename(folder / "owl/1.png")
    (folder / "x").rename(folder / "owl/2.png")


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize(
    "change",
    [add_a_file, remove_a_file, flip_a_byte_behind_the_clock, swap_two_names],
    ids=lambda change: change.__name__,
)
def test_version__reads_modified_where_the_bytes_differ(
    project: Path, change: object, remembered: bool
) -> None:
    if remembered:
        look(project)
    change(project / RAW)  # type: ignore[operator]
    assert look(project)["dvc.md5"] == "modified"
    assert look(project)["dvc.stated"] == stated(project)


def test_version__does_not_read_the_bytes_again_while_nothing_moved(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(project)
    monkeypatch.setattr(version, "_md5", lambda file: pytest.fail("read again"))
    assert look(project)["dvc.md5"] == stated(project)


def test_version__passes_over_what_dvc_ignores(project: Path) -> None:
    (project / RAW / "owl/.DS_Store").write_text("other")
    assert look(project)["dvc.md5"] == stated(project)


def test_version__of_a_stage_is_in_the_lock(project: Path) -> None:
    out = yaml.safe_load((project / f"{RAW}.dvc").read_text())["outs"][0]
    (project / f"{RAW}.dvc").unlink()
    stages = {"render": {"cmd": "x", "outs": [{**out, "path": str(RAW)}]}}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    assert look(project)["dvc.md5"] == out["md5"]


def test_version__is_unknown_where_nothing_states_it_or_no_data_is_there(project: Path) -> None:
    shutil.rmtree(project / RAW)
    assert look(project)["dvc.md5"] == "unknown"
    (project / f"{RAW}.dvc").unlink()
    assert look(project) == {"dvc.path": str(RAW), "dvc.md5": "unknown"}


def test_version__of_packed_data_is_that_of_the_shards_while_the_folder_is_what_they_hold(
    tmp_path: Path,
) -> None:
    dvc(tmp_path, "init", "--no-scm")
    raw, packed = tmp_path / RAW, packed_folder(RAW)
    for name in ("owl/1.png", "owl/2.png"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(f"bytes of {name}")
    pack(raw, tmp_path / packed)
    dvc(tmp_path, "add", str(packed))
    seen = look(tmp_path)
    assert seen["dvc.path"] == str(packed) and seen["dvc.md5"] == seen["dvc.stated"]
    assert seen["dvc.md5"].endswith(".dir")
    (raw / "owl/2.png").write_text("bytes of owl/3.png")  # as many as before
    assert look(tmp_path) == {**seen, "dvc.md5": "modified"}
    (raw / "owl/2.png").unlink()
    (raw / "owl/2.png").symlink_to("1.png")
    assert look(tmp_path)["dvc.md5"] == "modified"
    shutil.rmtree(tmp_path / packed)
    assert look(tmp_path)["dvc.md5"] == "unknown"
