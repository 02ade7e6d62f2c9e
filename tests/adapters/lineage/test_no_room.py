"""A disk without room is not taken for a record that is gone, nor for files that are."""

import errno
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from graft.adapters.lineage.reading import artifact_of_run
from graft.adapters.lineage.registered import registered_files
from graft.vision.errors import WeightsError


@pytest.fixture
def run_id(tmp_path: Path) -> Iterator[str]:
    """A run that holds one artifact."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = mlflow.create_experiment("tiny", (tmp_path / "mlruns").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_text("said", "classification/lineage.json")
    yield run.info.run_id
    mlflow.set_tracking_uri(before)


@pytest.fixture
def no_room(run_id: str) -> Iterator[None]:
    """No file of this process may grow any more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_artifact__that_is_there_is_had_and_another_is_not(run_id: str) -> None:
    assert artifact_of_run(run_id, "classification/lineage.json") == b"said"
    assert artifact_of_run(run_id, "classification/other.json") is None


@pytest.mark.usefixtures("no_room")
def test_artifact__for_whose_copy_there_is_no_room_is_not_called_missing(run_id: str) -> None:
    with pytest.raises(OSError) as said:
        artifact_of_run(run_id, "classification/lineage.json")
    assert said.value.errno == errno.EFBIG


def test_registered_files__hide_no_fault_of_who_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(place: Path) -> Any:
        return lambda: SimpleNamespace(get_model_version_download_uri=lambda *_: place.as_uri())

    version = SimpleNamespace(name="tiny", version="1", source="", model_id=None)
    monkeypatch.setattr(mlflow, "MlflowClient", client(tmp_path))
    with pytest.raises(OSError, match="of another disk"), registered_files(version) as folder:
        assert folder == tmp_path
        raise OSError("of another disk")
    monkeypatch.setattr(mlflow, "MlflowClient", client(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="cannot be had"), registered_files(version):
        pass
