"""Faults that need real processes: signals, disks that are full, places that may only be read."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from test_whole_road import copy_project, draw_images

pytestmark = pytest.mark.slow

KEDRO = str(Path(sys.executable).with_name("kedro"))
CHECKPOINTS = "data/06_models/tiny/classification/checkpoints"
IN_NAMESPACE = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = copy_project(tmp_path / "project")
    draw_images(project / "data/01_raw/tiny")
    return project


def statuses(project: Path) -> list[str]:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        rows = database.execute("SELECT status FROM runs ORDER BY start_time").fetchall()
    return [str(status) for (status,) in rows]


def run(
    project: Path, *arguments: str, mount: str = "", prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`kedro run`, after a mount that only this process sees."""
    before = [*IN_NAMESPACE, f'{mount}; exec "$@"', "sh"] if mount else prefix
    return subprocess.run(
        [*before, KEDRO, "run", "--env", "tiny", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_message(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error") == 1
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_training__that_is_stopped_says_so_and_goes_on_later(
    project: Path, number: signal.Signals, code: int
) -> None:
    overlay = project / "conf/tiny/parameters/classification.yml"
    overlay.write_text(overlay.read_text().replace("control: {epochs: 1}", "control: {epochs: 40}"))
    process = subprocess.Popen(
        [KEDRO, "run", "--env", "tiny"], cwd=project, stderr=subprocess.PIPE, text=True
    )
    started = time.monotonic()
    while not list((project / CHECKPOINTS).glob("scratch-*")):
        assert process.poll() is None and time.monotonic() - started < 200
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in said
    if number != signal.SIGKILL:
        assert f"Stopped by {number.name}. What is finished is kept; next: " in said
        assert statuses(project) == ["KILLED"]
    again = run(project)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "fine_tuned is done already" in again.stderr
    assert "scratch goes on after epoch" in again.stderr
    assert statuses(project) == ["KILLED", "FINISHED"]


@pytest.fixture
def mounts() -> None:
    """Skips where a process may not have mounts of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this machine")
    tried = subprocess.run([*IN_NAMESPACE, "mount -t tmpfs none /mnt"], capture_output=True)
    if tried.returncode:
        pytest.skip("this machine lets no process have mounts of its own")


def small_disk(folder: str, size: str) -> str:
    """A disk of this size at the folder, with what the folder holds."""
    keep = "keep=$(mktemp -d); cp -a {0}/. $keep; mount -t tmpfs -o size={1} none {0}; "
    return (keep + "cp -a $keep/. {0}").format(folder, size)


def read_only(folder: str) -> str:
    return f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}"


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("folder", "size", "part"),
    [
        ("data/02_intermediate", "64k", "data/02_intermediate/pixels/"),
        ("data/04_feature", "64k", "data/04_feature/store/"),
        (CHECKPOINTS, "8m", f"{CHECKPOINTS}/fine_tuned-"),
        ("data/06_models", "8m", "the disk is full (while data/06_models/"),
        ("data/08_reporting", "64k", "data/08_reporting/tiny/classification/"),
        ("mlruns", "200k", "mlruns: the disk is full"),
    ],
)
def test_run__on_a_full_disk_names_it_and_loses_nothing(
    project: Path, folder: str, size: str, part: str
) -> None:
    (project / folder).mkdir(parents=True)
    assert_one_message(run(project, mount=small_disk(folder, size)), "the disk is full", part)
    assert statuses(project) == ["FAILED"]
    assert not list((project / "data").rglob("*.part-*"))
    done = run(project)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.usefixtures("mounts")
def test_run__where_it_may_only_read(project: Path) -> None:
    (project / "data/02_intermediate").mkdir()
    refused = run(project, "--pipelines", "ingestion", mount=read_only("data"))
    assert_one_message(refused, "it may only be read, not written", "data/02_intermediate")
    refused = run(project, "--pipelines", "ingestion", mount=read_only("."))
    assert_one_message(refused, "MLflow's store", "it cannot be made or opened", "tracking_uri")
    done = run(project, "--pipelines", "ingestion", mount=read_only("data/01_raw"))
    assert done.returncode == 0, done.stderr[-2000:]


def test_run__where_it_may_not_even_read(project: Path) -> None:
    raw = project / "data/01_raw/tiny"
    (raw / "class_0/00.png").chmod(0)
    done = run(project, "--pipelines", "ingestion", prefix=as_others())
    assert done.returncode == 0, done.stderr[-2000:]
    quarantine = project / "data/08_reporting/tiny/classification/quarantine.csv"
    assert "class_0/00.png,,cannot be read (Permission denied)" in quarantine.read_text()
    raw.chmod(0)
    refused = run(project, "--pipelines", "ingestion", prefix=as_others())
    raw.chmod(0o755)
    assert_one_message(refused, "data/01_raw/tiny: no permission", "next: allow it")


def as_others() -> list[str]:
    """For root: a process for which permissions count, too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and no setpriv is here to take that away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
