"""Everything about a version through a server that keeps runs, models and artifacts elsewhere."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import requests
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from promoted_cases import MODEL, Registry, open_registry, predict_here, some
from test_audit import IDENTITY, do
from test_whole_road import copy_project, draw_images, kedro

from graft.adapters.faults import readable
from graft.adapters.ledger.ledger import open_intent
from graft.adapters.ledger.mirror import RUN
from graft.adapters.lineage.registered import registered_files
from graft.adapters.promotion.moving import settle
from graft.adapters.promotion.promoting import promote
from graft.adapters.promotion.rolling_back import roll_back
from graft.adapters.registry import resolve, version_at
from graft.adapters.tracking.connection import SETTINGS
from graft.commands.model import model as model_command

pytestmark = pytest.mark.slow
CLEAN = "graft.adapters.promotion.loading.predict_cleanly"


class Server:
    """`mlflow server` with a database and artifacts of its own, that can go and come back."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.uri = folder, f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
            "--port", str(self.port), "--workers", "1", "--serve-artifacts",
            "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            time.sleep(0.2)
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            if self._answers():
                return
        pytest.fail((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """With its workers, which are of its own group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=2).ok
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def registry(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Two versions on the server, none of them champion."""
    os.environ.update(SETTINGS)
    before = mlflow.get_tracking_uri()
    found = open_registry(tmp_path_factory.mktemp("registry"), store=server.uri)
    assert [found.register(some(number)) for number in (2, 9)] == ["1", "2"]
    yield found
    mlflow.set_tracking_uri(before)


def test_remote__promotes_tells_and_rolls_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = registry.case
    first = promote(case, f"{MODEL}/1")  # in a clean process
    assert first["outcome"] == "promoted", first["reason"]
    monkeypatch.setattr(CLEAN, predict_here)
    assert promote(case, MODEL)["outcome"] == "promoted"
    monkeypatch.undo()
    found = roll_back(case, MODEL)
    assert "bit-identical" in found["predictions"] and version_at(MODEL, "champion") == "1"
    monkeypatch.setattr("graft.adapters.promotion.case.open_case", lambda *_: case)
    said = CliRunner().invoke(
        model_command, ["history", MODEL, "--json"], obj=SimpleNamespace(project_path=".")
    )
    told = json.loads(said.stdout)
    assert said.exit_code == 0 and told["champion"] == "1" and told["doubts"] == []
    actions = [entry["action"] for entry in told["entries"] if entry["state"] == "done"]
    assert actions == ["promote", "promote", "rollback"]


def test_remote__shows_the_ledger_and_gives_the_bytes_back(
    registry: Registry, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{RUN}'")
    name = registry.case.ledger.path.name
    kept = Path(client.download_artifacts(run.info.run_id, name, str(tmp_path)))
    assert kept.read_bytes() == registry.case.ledger.path.read_bytes()
    with registered_files(resolve(f"{MODEL}/2")) as folder:
        assert (folder / "artifacts/model/model.safetensors").is_file()


@contextmanager
def losing(server: Server, monkeypatch: pytest.MonkeyPatch, what: str) -> Iterator[None]:
    """The server dies before or after the alias is moved."""
    whole: Callable[..., Any] = mlflow.MlflowClient.set_registered_model_alias

    def killing(client: Any, *words: str) -> None:
        if what == "after":
            whole(client, *words)
        server.kill()
        if what == "before":
            whole(client, *words)

    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "set_registered_model_alias", killing)
        yield


@pytest.mark.parametrize("moment", ["before", "after"])
def test_remote__that_dies_in_the_middle_loses_nothing(
    server: Server, registry: Registry, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    case = registry.case
    monkeypatch.setattr(CLEAN, predict_here)
    standing = settle(case)
    assert standing == "1"
    begun = time.monotonic()
    with losing(server, monkeypatch, moment), pytest.raises(MlflowException) as dead:
        promote(case, f"{MODEL}/2")
    assert time.monotonic() - begun < 60
    said = str(readable(dead.value))
    assert said.startswith(f"MLflow's store {server.uri}: it does not answer as it should")
    entries = case.ledger.entries  # whole, and says what was begun
    assert open_intent(entries) is not None or moment == "after"
    with pytest.raises(MlflowException):  # and again, while it is gone
        promote(case, f"{MODEL}/2")
    assert case.ledger.entries == entries
    server.start()
    champion = {"before": "1", "after": "2"}[moment]
    assert settle(case) == champion == version_at(MODEL, "champion")
    if champion == "1":
        assert promote(case, f"{MODEL}/2")["outcome"] == "promoted"
    assert roll_back(case, MODEL)["version"] == "1" == version_at(MODEL, "champion")


def test_remote__audits_what_a_run_registered_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path / "project")
    draw_images(project / "data/01_raw/tiny")
    shutil.copy(Path(__file__).resolve().parents[2] / ".gitignore", project)
    do(project, "git", "init", "-q")
    do(project, sys.executable, "-m", "dvc", "init", "-q")
    do(project, sys.executable, "-m", "dvc", "add", "-q", "data/01_raw/tiny")
    (project / "conf/tiny/globals.yml").write_text("case: afar\nraw: data/01_raw/tiny\n")
    (project / "conf/tiny").rename(project / "conf/afar")
    do(project, "git", "add", "-A")
    do(project, "git", *IDENTITY, "commit", "-qm", "first")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    done = kedro(project, "run", "--env", "afar")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (project / "mlflow.db").exists() and not (project / "mlruns").exists()
    done = kedro(project, "model", "audit", "afar-classification/1", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["holds"], done.stdout
    (image,) = (project / "data/01_raw/tiny/class_2").glob("15.png")
    image.chmod(0o644)
    image.write_bytes(image.read_bytes() + b"0")
    done = kedro(project, "model", "audit", "afar-classification/1")
    assert done.returncode == 1 and "class_2/15.png" in done.stdout
