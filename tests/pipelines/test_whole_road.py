"""`kedro run` from a folder of images to a registered model, in a copy of the project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from copied_projects import copy_code

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = """
classification:
  backbone: {image_size_px: 32, fit: squash}
  probing: {strengths: [0.01, 0.1], folds: 2}
  fine_tuning: {epochs: 1}
  control: {epochs: 1}
  evaluation: {resamples: 100}
"""
CLEAN_LOAD = """
import sys, pandas as pd, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/tiny-classification@challenger")
wanted = pd.read_parquet(sys.argv[2])
paths = [f"{sys.argv[3]}/{path}" for path in wanted["path"]]
found = model.predict(pd.DataFrame({"path": [*paths, "/no/such.png"]}))
data = [open(path, "rb").read() for path in paths]
pd.testing.assert_frame_equal(found[:-1], model.predict(pd.DataFrame({"image": data})))
assert found["error"].iloc[-1] and not found["error"].iloc[:-1].any()
assert list(found["prediction"][:-1]) == list(wanted["prediction"])
assert abs(found["score"][:-1].to_numpy(float) - wanted["score"].to_numpy()).max() < 1e-6
print("equal")
"""


def asked(project: Path) -> Path:
    """What commands in a project asked of the network; beside it, for it may be under Git."""
    return project.with_name(f"{project.name}-asked.txt")


def kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As people type it, except that what it asks of the network is written down."""
    command = [str(Path(sys.executable).with_name("kedro")), *arguments]
    watched = {"PYTHONPATH": str(ROOT / "tests/watched"), "GRAFT_WATCHED": str(asked(project))}
    return subprocess.run(
        command, cwd=project, env=os.environ | watched, capture_output=True, text=True, timeout=300
    )


def copy_project(target: Path) -> Path:
    copy_code(target)
    (target / "conf" / "tiny" / "parameters").mkdir(parents=True)
    (target / "conf/tiny/globals.yml").write_text("case: tiny\nraw: data/01_raw/tiny\n")
    (target / "conf/tiny/parameters/classification.yml").write_text(OVERLAY)
    return target


def draw_images(folder: Path, classes: int = 3, images: int = 16) -> None:
    """Coloured noise, one colour per class, each picture with blocks of its own."""
    for kind in range(classes):
        (folder / f"class_{kind}").mkdir(parents=True)
        for number in range(images):
            rng = np.random.default_rng([kind, number])
            small = rng.integers(0, 160, (6, 6, 3), dtype=np.uint8)
            small[:, :, kind] += 80
            big = cv2.resize(small, (48, 48), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(folder / f"class_{kind}/{number:02d}.png"), big)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the tiny case has been run once."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    draw_images(project / "data/01_raw/tiny")
    (project / "data/01_raw/tiny/class_0/broken.png").write_bytes(b"no image")
    done = kedro(project, "run", "--env", "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "is chosen" in done.stderr and "look next" in done.stderr
    return project


def test_run__asks_nothing_of_the_network(project: Path) -> None:
    assert asked(project).read_text() == ""


def test_run__leaves_what_others_script_against(project: Path) -> None:
    reports = project / "data/08_reporting/tiny/classification"
    metrics = json.loads((reports / "test_metrics.json").read_text())
    assert next(iter(metrics)) == "accuracy"
    assert set(metrics["accuracy"]) == {"value", "low", "high"}
    quarantine = pd.read_csv(reports / "quarantine.csv")
    assert list(quarantine.columns) == ["file", "row", "reason"]
    assert list(quarantine["file"]) == ["class_0/broken.png"]
    assert json.loads((reports / "quality_report.json").read_text())["quarantined"] == 1
    page = (reports / "report.html").read_text()
    assert "<script" not in page and "://" not in page.replace("http://www.w3.org", "")
    assert (project / "data/07_model_output/tiny/classification/test_predictions.parquet").is_file()
    assert (project / "mlflow.db").is_file()


def test_registered_model__predicts_in_a_clean_process_what_was_judged(
    project: Path, tmp_path: Path
) -> None:
    predictions = project / "data/07_model_output/tiny/classification/test_predictions.parquet"
    arguments = [f"sqlite:///{project}/mlflow.db", str(predictions), f"{project}/data/01_raw/tiny"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", CLEAN_LOAD, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
    assert not list((project / "mlruns").rglob("*.pkl"))


def test_run__is_recorded_whole(project: Path) -> None:
    script = f"""
import json, mlflow
mlflow.set_tracking_uri("sqlite:///{project}/mlflow.db")
run = mlflow.search_runs(experiment_names=["tiny"], output_format="list")[-1]
client = mlflow.MlflowClient()
history = client.get_metric_history(run.info.run_id, "classification.fine_tuned.val_loss")
print(json.dumps({{
    "status": run.info.status, "params": run.data.params, "tags": run.data.tags,
    "metrics": run.data.metrics, "epochs": len(history),
    "inputs": [i.dataset.name for i in run.inputs.dataset_inputs],
    "artifacts": [a.path for a in client.list_artifacts(run.info.run_id, "classification")],
}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    run = json.loads(done.stdout.strip().splitlines()[-1])
    assert run["status"] == "FINISHED"
    assert run["params"]["classification.fine_tuning.epochs"] == "1"
    assert run["epochs"] == 1
    assert {"lock.sha256", "git.commit", "classification.data.sha256"} <= set(run["tags"])
    assert {f"classification-{split}" for split in ("train", "val", "test")} == set(run["inputs"])
    assert "classification/report.html" in run["artifacts"]


def test_run__again_changes_nothing(project: Path) -> None:
    folder = project / "data/08_reporting/tiny/classification"
    before = {name: (folder / name).read_text() for name in ("test_metrics.json", "verdict.json")}
    version = json.loads((folder / "registered_model.json").read_text())["version"]
    done = kedro(project, "run", "--env", "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("is done already") == 2
    assert before["test_metrics.json"] == (folder / "test_metrics.json").read_text()
    assert json.loads((folder / "registered_model.json").read_text())["version"] == version


def test_notebook__reads_the_verdict_of_a_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_CASE", "tiny")
    notebook = nbformat.read(ROOT / "notebooks/02_read_a_verdict.ipynb", as_version=4)
    resources = {"metadata": {"path": str(project)}}
    NotebookClient(notebook, timeout=240, resources=resources).execute()
    told = "".join(
        out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])
    )
    assert "is chosen" in told


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("classification: {fine_tunning: {}}", "did you mean 'fine_tuning'?"),
        ("classification: {probing: {fold: 3}}", "did you mean 'folds'?"),
        ("classification: {seed: many}", "classification.seed"),
        ("classification: {fine_tuning: {epochs: 0}}", "epochs"),
        ("classification: {augmentation: {preset: naturall}}", "preset"),
        ("classification: {backbone: {name: efficientnet_lite9}}", "efficientnet_lite9"),
    ],
)
def test_run__refuses_a_wrong_setting_in_one_message(
    project: Path, overlay: str, message: str
) -> None:
    folder = project / "conf/wrong/parameters"
    folder.mkdir(parents=True, exist_ok=True)
    (project / "conf/wrong/globals.yml").write_text("case: wrong\nraw: data/01_raw/tiny\n")
    (folder / "classification.yml").write_text(overlay + "\n")
    done = kedro(project, "run", "--env", "wrong")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_run__without_raw_data_says_how_to_bring_it(project: Path) -> None:
    (project / "conf/absent").mkdir(exist_ok=True)
    (project / "conf/absent/globals.yml").write_text("case: absent\nraw: data/01_raw/absent\n")
    done = kedro(project, "run", "--env", "absent")
    assert done.returncode != 0
    assert "no raw data at data/01_raw/absent" in done.stderr
    assert "kedro case create absent --data PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_case__is_created_from_a_folder_with_an_overlay_that_runs(
    project: Path, tmp_path: Path
) -> None:
    draw_images(tmp_path / "pictures")
    done = kedro(
        project, "case", "create", "mine", "--data", str(tmp_path / "pictures"), "--no-dvc"
    )
    assert done.returncode == 0, done.stderr
    assert "layout 'folders'" in done.stdout and "kedro run --env mine" in done.stdout
    raw = project / "data/01_raw/mine/class_0/00.png"
    assert raw.samefile(tmp_path / "pictures/class_0/00.png")
    done = kedro(project, "run", "--env", "mine", "--pipelines", "ingestion")
    assert done.returncode == 0, done.stderr[-2000:]
    again = kedro(project, "case", "create", "mine", "--data", str(tmp_path / "pictures"))
    assert again.returncode != 0 and "already there" in again.stderr


def test_commands__that_only_list_import_no_torch() -> None:
    script = (
        "import sys; from kedro.framework.startup import bootstrap_project; "
        f"bootstrap_project({str(ROOT)!r}); from kedro.framework.project import pipelines; "
        "list(pipelines); print(sorted({'torch', 'mlflow', 'albumentations'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]"), done.stderr[-1000:]
