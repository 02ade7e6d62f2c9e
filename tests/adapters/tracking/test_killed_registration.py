"""A registration that is killed leaves no half model to be loaded, promoted or waited for."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.io import DatasetError
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from served_cases import lay_case

from graft.adapters.datasets import RegisteredModelDataset
from graft.adapters.faults import readable
from graft.adapters.registry import resolve, verified
from graft.adapters.tracking.run import OpenRun
from graft.vision.model import TrainedModel
from recorded_runs import GOES_ON, begin, run_of, runs, waiting

MODEL = "tiny-classification"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return lay_case("classification", tmp_path_factory.mktemp("case")).model


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Iterator[Path]:
    """A project with a store that knows no run."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    before = mlflow.get_tracking_uri()
    yield tmp_path
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    open_in(folder).end("FINISHED")
    mlflow.set_tracking_uri(before)
    return folder / "mlflow.db"


def open_in(project: Path) -> OpenRun:
    return begin(project, f"sqlite:///{project}/mlflow.db")


def register(project: Path, model: TrainedModel) -> None:
    RegisteredModelDataset(MODEL, str(project / "reports/registered_model.json")).save(model)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def upload_half(repository: Any, folder: str, path: str | None = None) -> None:
    """As many files as are half of them, then the kill."""
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    for file in files[: len(files) // 2]:
        repository.log_artifact(str(file), path)
    die()


def plant(name: str, moment: str) -> None:
    """Let a call to MLflow kill this process, before it is made or after."""
    if name == "half of the upload":
        LocalArtifactRepository.log_artifacts = upload_half
        return
    whole = getattr(mlflow.MlflowClient, name)

    def killing(*args: Any, **named: Any) -> Any:
        if moment == "after":
            whole(*args, **named)
        die()

    setattr(mlflow.MlflowClient, name, killing)


def killed_registration(project: Path, model: TrainedModel, name: str, moment: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            run = open_in(project)
            plant(name, moment)
            register(project, model)
            run.end("FINISHED")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def assert_nothing_is_half() -> None:
    """Every model is there or failed; every version is what was registered."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    models = client.search_logged_models([experiment.experiment_id])
    assert {str(model.status) for model in models} <= {"READY", "FAILED"}
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        assert version.status == "READY"
        with verified(resolve(f"{MODEL}/{version.version}")):
            pass


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("log_outputs", "after"),
        ("log_model_artifacts", "before"),
        ("half of the upload", "in"),
        ("log_model_artifacts", "after"),
        ("create_registered_model", "after"),
        ("create_model_version", "before"),
        ("create_model_version", "after"),
        ("set_registered_model_alias", "before"),
        ("set_registered_model_alias", "after"),
    ],
)
def test_registration__that_is_killed_leaves_nothing_half(
    project: Path, model: TrainedModel, name: str, moment: str
) -> None:
    killed_registration(project, model, name, moment)
    run = open_in(project)
    earlier = [found for found in runs() if found.info.run_id != run.run_id]
    assert [found.info.status for found in earlier] == ["FINISHED", "KILLED"]
    assert_nothing_is_half()
    register(project, model)
    run.end("FINISHED")
    assert run_of(str(run.run_id))["status"] == "FINISHED"
    assert_nothing_is_half()
    said = json.loads((project / "reports/registered_model.json").read_text())
    assert str(resolve(f"{MODEL}@challenger").version) == said["version"]
    assert waiting(project) == []


def test_registration__that_finds_no_room_says_so_and_is_made_up_for(
    project: Path, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights")

    run = open_in(project)
    with monkeypatch.context() as patch, pytest.raises(DatasetError) as refused:
        patch.setattr(LocalArtifactRepository, "log_artifacts", full)
        register(project, model)
    run.end("FAILED")
    said = str(readable(refused.value))
    assert said.startswith(f"{MODEL} is trained and kept, and not registered: ")
    assert "the disk is full" in said and f"`{GOES_ON}` registers this very model" in said
    assert run_of(str(run.run_id))["status"] == "FAILED"
    assert_nothing_is_half()
    run = open_in(project)
    register(project, model)
    run.end("FINISHED")
    assert str(resolve(f"{MODEL}@challenger").version) == "1"


def test_registration__that_is_told_to_stop_leaves_no_model_to_wait_for(
    project: Path, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    run = open_in(project)
    monkeypatch.setattr(mlflow.MlflowClient, "log_model_artifacts", stop)
    with pytest.raises(KeyboardInterrupt):
        register(project, model)
    run.end("KILLED")
    assert run_of(str(run.run_id))["status"] == "KILLED"
    assert_nothing_is_half()
