"""`kedro case create` brings a folder as it is, and leaves the person's files as they were."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from graft.adapters import bringing
from graft.adapters.bringing import bring
from graft.adapters.case import create_case
from graft.adapters.tracking.version import data_version
from graft.vision.errors import DataError, OptionsError

DVC = [sys.executable, "-m", "dvc"]


def draw(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    cv2.imwrite(str(file), pixels)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two class folders of six images."""
    for number in range(12):
        draw(tmp_path / f"pictures/{'owl' if number % 2 else 'tit'}/{number}.png", number)
    return tmp_path / "pictures"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that DVC knows, and Git does not."""
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    (project / "conf/cases.yml").write_text(
        "# listed\ncases:\n  a-detection: {case: a, task: detection}\n"
    )
    subprocess.run([*DVC, "init", "--no-scm", "--quiet"], cwd=project, check=True)
    return project


def create(project: Path, data: Path, *, track: bool = True, task: str | None = None) -> list[str]:
    said: list[str] = []
    create_case(project, "birds", data, task, track=track, say=said.append)
    return said


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Mode and bytes of each file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_case__is_under_dvc_without_a_second_copy_and_without_touching_the_source(
    project: Path, pictures: Path
) -> None:
    before = modes(pictures)
    said = "\n".join(create(project, pictures))
    raw = project / "data/01_raw/birds"
    assert modes(pictures) == before and modes(raw) == before
    if "linked" in said:
        assert (raw / "owl/1.png").samefile(pictures / "owl/1.png")
        assert "your files are linked and stay as they are" in said
        assert not list((project / ".dvc/cache").rglob("*"))
    data_version.cache_clear()
    assert data_version(project, Path("data/01_raw/birds"))["dvc.md5"].endswith(".dir")
    assert yaml.safe_load((project / "conf/cases.yml").read_text()) == {
        "cases": {
            "a-detection": {"case": "a", "task": "detection"},
            "birds-classification": {"case": "birds", "task": "classification"},
        }
    }


def test_case__stores_in_dvc_what_is_its_own_copy(
    project: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: str) -> None:
        raise OSError(18, "other file system")

    monkeypatch.setattr(bringing, "reflink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    before = modes(pictures)
    said = "\n".join(create(project, pictures))
    assert "12 copied" in said and modes(pictures) == before
    stored = [path for path in (project / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert len(stored) == 13  # and the list of them
    subprocess.run([*DVC, "status", "--quiet"], cwd=project, check=True)


def test_case__clones_where_the_file_system_can(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(source: str, target: str) -> None:
        Path(target).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr(bringing, "reflink", clone)
    said: list[str] = []
    assert not bring(pictures, tmp_path / "raw", said.append)
    assert "12 cloned" in said[0]


def put_junk(folder: Path) -> None:
    for name in (".git/objects/a", ".DS_Store", "__MACOSX/._0.png", "owl/Thumbs.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("junk")
    (folder / "dvc.yaml").write_text("stages: {")
    (folder / "owl/old.dvc").write_text("outs: [")
    os.mkfifo(folder / "owl/pipe.png")
    (folder / "owl/dangling.png").symlink_to("/nowhere/at/all.png")


def test_case__leaves_junk_out_and_says_so(project: Path, pictures: Path) -> None:
    wanted = set(modes(pictures))
    put_junk(pictures)
    said = "\n".join(create(project, pictures))
    assert set(modes(project / "data/01_raw/birds")) == wanted
    assert "left out (hidden or special)" in said and "birds.dvc states the version" in said


def test_case__follows_links_to_folders_and_never_in_a_circle(
    project: Path, pictures: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "elsewhere/wren.png", 99)
    (pictures / "wren").symlink_to(tmp_path / "elsewhere")
    (pictures / "owl/up").symlink_to("..")
    (pictures / "owl/side").symlink_to("../tit")
    (pictures / "tit/side").symlink_to("../owl")
    (pictures / "owl/9 linked.png").symlink_to("1.png")
    create(project, pictures, track=False)
    raw = project / "data/01_raw/birds"
    assert (raw / "wren/wren.png").is_file() and not (raw / "wren").is_symlink()
    assert (raw / "owl/side/0.png").is_file() and not (raw / "owl/up").exists()
    assert not (raw / "owl/9 linked.png").is_symlink()


def test_case__of_a_folder_that_lies_in_place_stays_there(project: Path, pictures: Path) -> None:
    raw = project / "data/01_raw/birds"
    raw.parent.mkdir(parents=True)
    pictures.rename(raw)
    said = "\n".join(create(project, raw))
    assert "birds.dvc states the version" in said and len(modes(raw)) == 12


def test_case__from_a_table_names_its_columns(project: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        draw(tmp_path / f"table/pics/{number}.png", number)
        rows.append(f"{number}.png;{'owl' if number % 2 else 'tit'}")
    (tmp_path / "table/labels.csv").write_text("\n".join(["path;label", *rows]) + "\n")
    create(project, tmp_path / "table", track=False)
    overlay = yaml.safe_load((project / "conf/birds/parameters/classification.yml").read_text())
    source = overlay["classification"]["ingestion"]["source"]
    assert source["table"] == ["labels.csv"] and source["images_folder"] == "pics"


def test_case__says_why_dvc_could_not_add_it(project: Path, pictures: Path, tmp_path: Path) -> None:
    (project / ".dvc/config").write_text("[core\n")
    said = "\n".join(create(project, pictures))
    assert "dvc: could not add data/01_raw/birds: ERROR" in said and "unknown" in said
    assert "birds" not in (project / "conf/cases.yml").read_text()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda p, d: create(p, d / "owl/1.png"), DataError, "is not a folder"),
        (lambda p, d: create(p, d, task="dreaming"), OptionsError, "cannot be run"),
        (lambda p, d: [create(p, d), create(p, d)], DataError, "already there"),
        (
            lambda p, d: bring(p.parent, p / "data/01_raw/birds", print),
            DataError,
            "holds the project itself",
        ),
    ],
)
def test_case__is_refused_in_one_message(
    project: Path, pictures: Path, spoil: Callable[[Path, Path], object], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        spoil(project, pictures)


def test_case__that_cannot_be_brought_leaves_nothing(
    project: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> str:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(bringing, "_place", fail)
    with pytest.raises(OSError, match="No space left"):
        create(project, pictures)
    assert not (project / "data/01_raw/birds").exists() and not (project / "conf/birds").exists()
    assert not list((project / "data/01_raw").iterdir())
