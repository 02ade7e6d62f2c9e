"""How a run of a real process ended is what MLflow says of it, also where it is told later."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from tiny_roads import CASE, lay_project

from graft.adapters.tracking.connection import TrackingOptions, connect
from recorded_runs import waiting
from shaky_server import ShakyServer, shaky_server

# Within the first step, which needs no PyTorch.
STOPPED_IN_A_STEP = """
import os, signal, sys
import graft.vision.data.manifest as manifest
from kedro.framework.cli.cli import main

def stop(*_):
    for number in (signal.SIGTERM, signal.SIGTERM) if {how!r} == "SIGTERM" else (signal.SIGKILL,):
        if {how!r} == "exception":
            raise TypeError("a bug")
        os.kill(os.getpid(), number)

manifest.build_manifest = stop
sys.argv = ["kedro", "run", "--env", "{case}", "--pipelines", "ingestion",
            "--namespaces", "classification"]
main()
"""
ENDS = {
    "exception": (1, "FAILED", "TypeError: a bug"),
    "SIGTERM": (128 + signal.SIGTERM, "KILLED", None),
    "SIGKILL": (-signal.SIGKILL, "KILLED", "its process ended without a word"),
}
"""Exit code, status and the tag ``error``."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShakyServer]:
    before = mlflow.get_tracking_uri()
    with shaky_server(tmp_path_factory.mktemp("server")) as server:
        yield server
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_project(tmp_path_factory.mktemp("project"))


def stopped_run(project: Path, how: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    code = STOPPED_IN_A_STEP.format(how=how, case=CASE)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == ENDS[how][0], done.stderr[-3000:]


def assert_end_is_told(project: Path, how: str, uri: str) -> None:
    """After the next command has begun."""
    options = TrackingOptions(experiment=CASE, tracking_uri=uri)
    client = connect(options, project)
    experiment = client.get_experiment_by_name(CASE)
    run = client.search_runs([experiment.experiment_id])[0]
    _, status, error = ENDS[how]
    assert run.info.status == status
    assert run.data.tags.get("error") == error
    assert waiting(project) == []


@pytest.mark.parametrize("how", ENDS)
def test_run__beside_a_dead_server_ends_as_it_did(
    project: Path, server: ShakyServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server.become("gone")
    stopped_run(project, how, server.uri, monkeypatch)
    assert len(waiting(project)) == 1
    server.become("well")
    assert_end_is_told(project, how, server.uri)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_run__that_is_stopped_reads_so(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """By an exception: in the tests of bad input."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    stopped_run(project, how, uri, monkeypatch)
    assert_end_is_told(project, how, uri)
