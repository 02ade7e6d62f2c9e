"""A short run with records of every kind, and the history that MLflow knows of a run."""

import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from graft.adapters.tracking.connection import TrackingOptions
from graft.adapters.tracking.opening import begin_run
from graft.adapters.tracking.recording import RECORDERS
from graft.adapters.tracking.run import OpenRun

OPTIONS = TrackingOptions(experiment="tiny")
GOES_ON = "kedro run --env tiny --pipelines registration --namespaces classification"
OWN_TAGS = ("journal", "process")
"""What no two runs have alike."""


def begin(project: Path, uri: str) -> OpenRun:
    """A run that means the store at an address."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow writes it, and it goes before all else
    options = OPTIONS.model_copy(update={"tracking_uri": uri})
    return begin_run(options, project, "whole road", GOES_ON)


def record(run: OpenRun, project: Path, epochs: int = 3) -> None:
    """Records of every kind, as the hooks make them."""
    task, version = "classification", {"dvc.md5": "a" * 32}
    file = project / "report.html"
    file.write_text("<p>well</p>")
    run.tags({"git.commit": "c" * 40, "images": 3})
    run.params({f"{task}.fine_tuning.epochs": str(epochs)})
    run.text("- a\n+ b\n", "code/uncommitted.diff")
    history = pd.DataFrame(
        {"epoch": range(1, epochs + 1), "loss": [1 / n for n in range(1, epochs + 1)]}
    )
    scores = {"accuracy": {"value": 0.5, "low": 0.25, "high": float("nan")}}
    images = pd.DataFrame(
        {"id": ["a", "b"], "path": ["a", "b"], "sha256": ["0" * 64, "1" * 64],
         "truth": ["{}", "{}"], "split": ["train", "test"]}
    )  # fmt: skip
    verdict = {"sentences": ["It is chosen."], "chosen": "probe"}
    for kind, name, data in (
        ("data", "split_manifest", images),
        ("history", "fine_tuned_history", history),
        ("metrics", "test_metrics", scores),
        ("verdict", "verdict", verdict),
    ):
        RECORDERS[kind](run, task, name, data, file, version)


def run_of(run_id: str) -> dict[str, Any]:
    """All that MLflow knows of a run; of metrics in scores only what was measured."""
    client = mlflow.MlflowClient()
    found = client.get_run(run_id)
    metrics = {
        name: [(row.value, row.step) for row in client.get_metric_history(run_id, name)]
        for name in found.data.metrics
    }
    tags = {name: said for name, said in found.data.tags.items() if name not in OWN_TAGS}
    inputs = [
        (each.dataset.to_dictionary(), sorted((tag.key, tag.value) for tag in each.tags))
        for each in found.inputs.dataset_inputs
    ]
    files = {name: _text(run_id, name) for name in _files(client, run_id, None)}
    return {
        "name": found.info.run_name, "status": found.info.status, "tags": tags,
        "params": found.data.params, "metrics": metrics,
        "inputs": sorted(inputs, key=str), "files": files,
    }  # fmt: skip


def runs() -> list[Any]:
    """All runs of the experiment, the earliest first."""
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(OPTIONS.experiment)
    if found is None:
        return []
    return list(client.search_runs([found.experiment_id], order_by=["attributes.start_time"]))


def waiting(project: Path) -> list[Path]:
    """The journals that are left."""
    return sorted((project / "data/09_tracking").glob("[!.]*-*"))


def _files(client: Any, run_id: str, folder: str | None) -> list[str]:
    found = client.list_artifacts(run_id, folder)
    below = [name for each in found if each.is_dir for name in _files(client, run_id, each.path)]
    return sorted([each.path for each in found if not each.is_dir] + below)


def _text(run_id: str, name: str) -> str:
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
