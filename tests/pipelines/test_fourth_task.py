"""A fourth task costs one folder, one parameter file and one line in the table.

The folder is ``tests/pipelines/key_points``: one point per image, which the box table states by a
small box around it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from test_whole_road import ROOT, copy_project, kedro

from graft.vision.tasks import TASKS

TASK = "key_points"
TABLE = ROOT / "src/graft/vision/tasks/__init__.py"
ROW = '    "classification": "graft.vision.tasks.classification",\n'
OVERLAY = """
key_points:
  ingestion:
    source: {layout: boxes_csv}
    near_copies: {enabled: false}
  augmentation: {preset: natural, strength: 0.3}
  backbone: {name: test_efficientnet, weights: none, image_size_px: 64, fit: squash}
  feature_extraction: {engine: torch}
  probing: {epochs: 2, learning_rate: 0.003}
  fine_tuning:
    {strategy: full, epochs: 12, learning_rate: 0.003, batch_norm: moves, ema_decay: null}
  control: {epochs: 1}
  evaluation: {resamples: 100}
"""
CLEAN_LOAD = """
import sys, pandas as pd, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/dots-key_points@challenger")
wanted = pd.read_parquet(sys.argv[2])
found = model.predict(pd.DataFrame({"path": [f"{sys.argv[3]}/{path}" for path in wanted["path"]]}))
assert list(found["prediction"]) == list(wanted["prediction"])
assert not found["error"].any()
print("equal")
"""


def add_task(project: Path) -> None:
    """All that a task costs."""
    shutil.copytree(
        Path(__file__).with_name(TASK),
        (project / TABLE.relative_to(ROOT)).with_name(TASK),
        ignore=shutil.ignore_patterns("__pycache__", "*.toml"),
    )
    parameters = project / "conf/base/parameters"
    text = (parameters / "classification.yml").read_text()
    text = text.replace("classification", TASK).replace("dropout: 0.0", "channels: 32")
    (parameters / f"{TASK}.yml").write_text(text)
    table = project / TABLE.relative_to(ROOT)
    text = table.read_text()
    assert text.count(ROW) == 1
    table.write_text(text.replace(ROW, ROW + ROW.replace("classification", TASK)))


def draw_dots(folder: Path, images: int = 100) -> None:
    """A bright disc or ring on dim noise, and a table of boxes around their centres."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(images):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 60, (72, 96, 3), dtype=np.uint8)
        x, y = int(rng.integers(14, 82)), int(rng.integers(14, 58))
        label = ("disc", "ring")[number % 2]
        cv2.circle(pixels, (x, y), 9, (255, 255, 255), -1 if label == "disc" else 3)
        cv2.imwrite(str(folder / f"{number:03d}.png"), pixels)
        rows.append((f"{number:03d}.png", label, x - 2, y - 2, x + 3, y + 3))
    columns = ["path", "label", "xmin", "ymin", "xmax", "ymax"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "dots.csv", index=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a fourth task, whose case has been run once."""
    project = copy_project(tmp_path_factory.mktemp("fourth"))
    add_task(project)
    draw_dots(project / "data/01_raw/dots")
    (project / "conf/dots/parameters").mkdir(parents=True)
    (project / "conf/dots/globals.yml").write_text("case: dots\nraw: data/01_raw/dots\n")
    (project / f"conf/dots/parameters/{TASK}.yml").write_text(OVERLAY)
    done = kedro(project, "run", "--env", "dots")
    assert done.returncode == 0, done.stderr[-3000:]
    return project


def test_fourth_task__has_the_furniture_of_the_others() -> None:
    furniture = {path.name for path in Path(__file__).with_name(TASK).glob("*.py")}
    for name in TASKS:
        assert furniture <= {path.name for path in (TABLE.parent / name).glob("*.py")}


def test_fourth_task__runs_through_every_pipeline(project: Path) -> None:
    reports = project / "data/08_reporting/dots" / TASK
    metrics = json.loads((reports / "test_metrics.json").read_text())
    assert next(iter(metrics)) == "closeness"
    assert metrics["closeness"]["value"] > 0.7  # without training it is less than 0.2
    verdict = json.loads((reports / "verdict.json").read_text())
    assert {row["name"] for row in verdict["table"]} == {"probe", "fine_tuned", "scratch"}
    assert "closeness" in (reports / "report.html").read_text()
    registered = json.loads((reports / "registered_model.json").read_text())
    assert registered["name"] == f"dots-{TASK}"


def test_fourth_task__is_registered_so_that_a_clean_process_predicts(
    project: Path, tmp_path: Path
) -> None:
    predictions = project / f"data/07_model_output/dots/{TASK}/test_predictions.parquet"
    arguments = [f"sqlite:///{project}/mlflow.db", str(predictions), f"{project}/data/01_raw/dots"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", CLEAN_LOAD, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]


def test_fourth_task__can_be_asked_for_when_a_case_is_created(project: Path) -> None:
    raw = str(project / "data/01_raw/dots")
    done = kedro(project, "case", "create", "more_dots", "--data", raw, "--task", TASK, "--no-dvc")
    assert done.returncode == 0, done.stderr
    overlay = (project / f"conf/more_dots/parameters/{TASK}.yml").read_text()
    assert f"{TASK}:" in overlay and "layout: boxes_csv" in overlay
