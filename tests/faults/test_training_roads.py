"""Whole runs, real processes, in which training meets what is no number or memory is short."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_roads import CASE, SOURCES, lay_project

pytestmark = pytest.mark.slow

SHORT_OF_MEMORY = """
import sys
import torch
from graft.vision.model import GraftedModel
from kedro.framework.cli.cli import main

whole = GraftedModel.forward

def forward(self, views):
    if len(views) > 3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return whole(self, views)

GraftedModel.forward = forward
sys.argv = ["kedro", "run", "--env", "{case}", "--namespaces", "{task}"]
main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return lay_project(tmp_path / "project")


def change(project: Path, task: str, block: str = "fine_tuning", **options: object) -> None:
    file = project / f"conf/{CASE}/parameters/{task}.yml"
    settings = yaml.safe_load(file.read_text())
    settings[task][block].update(options)
    file.write_text(yaml.safe_dump(settings))


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=300
    )


def asked(project: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("task", SOURCES)
def test_run__whose_training_is_not_finite_registers_nothing_and_leaves_the_batch(
    task: str, project: Path
) -> None:
    change(project, task, learning_rate=1e30, epochs=6)
    command = ["-m", "kedro", "run", "--env", CASE, "--namespaces", task]
    done = run(project, *command)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert asked(project, "SELECT status FROM runs") == [("FAILED",)]
    assert asked(project, "SELECT name FROM model_versions") == []
    files = list((project / f"data/06_models/{CASE}/{task}/checkpoints").glob("*.refused.*"))
    told = r"fine_tuned: (validation of )?epoch \d, batch \d gave (?:a|outputs|weights) .*; found"
    refusal = re.search(told, done.stderr)
    assert refusal and files[0].name in done.stderr
    again = run(project, "-m", "graft.vision.contenders.replaying", str(files[0]))
    said, now = again.stdout.splitlines()[:2]
    assert said in refusal[0]
    # Finite weights may give outputs that are not.
    wanted = "outputs up to" if refusal[1] else r"(loss|norm) of"
    assert re.search(rf"{wanted} (nan|inf|-inf)", now)


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_run__short_of_memory_ends_and_says_how_many_images_it_held(
    task: str, project: Path
) -> None:
    change(project, task, batch_size=8)
    change(project, task, "control", divide_batch_norm=True)  # it learns statistics
    done = run(project, "-c", SHORT_OF_MEMORY.format(case=CASE, task=task))
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("fine_tuned", "scratch"):
        assert f"{name}: out of memory; from here on at most " in done.stderr
        history = pd.read_csv(project / f"data/08_reporting/{CASE}/{task}/{name}_history.csv")
        assert set(history["images_at_once"]) <= {2, 3}
    assert asked(project, "SELECT status FROM runs") == [("FINISHED",)]


def test_run__short_of_memory_stops_where_a_head_learns_statistics_unless_it_may(
    project: Path,
) -> None:
    script = SHORT_OF_MEMORY.format(case=CASE, task="detection")
    change(project, "detection", batch_size=8)
    change(project, "detection", "control", divide_batch_norm=True)
    done = run(project, "-c", script)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "fine_tuned: memory does not hold a batch, and BatchNorm learns from" in done.stderr
    assert asked(project, "SELECT status FROM runs") == [("FAILED",)]
    change(project, "detection", divide_batch_norm=True)
    again = run(project, "-c", script)
    assert again.returncode == 0, again.stderr[-2000:]
