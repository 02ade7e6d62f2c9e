"""The whole road beside a server that is dead, and the one command that goes on once it is back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
import yaml
from tiny_roads import CASE, lay_project

from graft.adapters.layers import MODELS, REPORTING, last_registered, place
from graft.adapters.registry import resolve, verified
from graft.vision.records import digest_of_file
from recorded_runs import waiting

pytestmark = pytest.mark.slow
TASK = "classification"
KEDRO = str(Path(sys.executable).with_name("kedro"))
OF_AN_EPOCH = 2
"""Dots in the name of a metric: TASK.MODEL.COLUMN."""
REGISTERING = ["run", "--env", CASE, "--pipelines", "registration", "--namespaces", TASK]


def kedro(project: Path, uri: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KEDRO, *arguments],
        cwd=project,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def uri() -> str:
    """The address of a server that does not run yet."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, uri: str) -> tuple[Path, str]:
    """A project that went the whole road without a server, and what was said."""
    project = lay_project(tmp_path_factory.mktemp("project"))
    done = kedro(project, uri, "run", "--env", CASE, "--namespaces", TASK)
    assert done.returncode == 1, done.stderr[-3000:]
    return project, done.stderr


@pytest.fixture(scope="module")
def server(
    refused: tuple[Path, str], uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """`mlflow server` at that address, once the road is gone."""
    folder = tmp_path_factory.mktemp("server")
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
        "--port", uri.rpartition(":")[2], "--workers", "1", "--serve-artifacts",
        "--backend-store-uri", f"sqlite:///{folder}/server.db",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    before = mlflow.get_tracking_uri()
    try:
        until = time.monotonic() + 120
        while not answers(uri):
            assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.2)
        mlflow.set_tracking_uri(uri)
        yield uri
    finally:
        mlflow.set_tracking_uri(before)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=2).ok
    except requests.RequestException:
        return False


def test_road__without_a_server_trains_and_says_how_to_go_on(refused: tuple[Path, str]) -> None:
    project, said = refused
    assert "Traceback" not in said and said.count("Error") == 1
    assert said.count("Its records wait in ") == 1
    assert f"Error: {CASE}-{TASK} is trained and kept, and not registered: MLflow's store" in said
    assert f"`kedro {' '.join(REGISTERING)}` registers this very model" in said
    assert (place(project, MODELS, CASE, TASK) / "chosen_model/model.safetensors").is_file()
    assert (place(project, REPORTING, CASE, TASK) / "report.html").is_file()
    assert last_registered(project, CASE, TASK) == {}
    assert len(waiting(project)) == 1


def history(run: Any) -> dict[str, Any]:
    """Every number of every epoch, without those of the clock."""
    client = mlflow.MlflowClient()
    return {
        name: [(row.step, row.value) for row in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
        if name.count(".") == OF_AN_EPOCH and not name.endswith(("seconds", "per_s"))
    }


def runs_of(case: str) -> list[Any]:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(case)
    assert experiment is not None
    order = ["attributes.start_time"]
    return list(client.search_runs([experiment.experiment_id], order_by=order))


def files_of(run: Any, folder: str | None = None) -> set[str]:
    client, found = mlflow.MlflowClient(), set()
    for each in client.list_artifacts(run.info.run_id, folder):
        found |= files_of(run, each.path) if each.is_dir else {each.path}
    return found


def test_road__is_registered_by_the_one_command_without_training_again(
    refused: tuple[Path, str], server: str, tmp_path: Path
) -> None:
    project, _ = refused
    weights = place(project, MODELS, CASE, TASK) / "chosen_model/model.safetensors"
    digest, written = digest_of_file(weights), weights.stat().st_mtime_ns
    done = kedro(project, server, *REGISTERING)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "records of 1 earlier runs were sent to MLflow" in done.stderr
    assert "[1/1]" in done.stderr.replace("[ 1/ 1]", "[1/1]").replace("[ 1/1]", "[1/1]")
    assert (digest_of_file(weights), weights.stat().st_mtime_ns) == (digest, written)
    version = resolve(f"{CASE}-{TASK}@challenger")
    assert version.tags["weights_sha256"] == digest
    with verified(version):
        pass
    told, registering = runs_of(CASE)
    assert [told.info.status, registering.info.status] == ["FAILED", "FINISHED"]
    assert waiting(project) == []
    record = json.loads(
        (project / f"data/06_models/{CASE}/{TASK}/lineage/1/lineage.json").read_text()
    )
    made = {stage["stage"]: stage["run_id"] for stage in record["stages"]}
    assert made["fine_tuning"] == made["evaluation"] == told.info.run_id


def test_road__that_was_told_later_has_the_history_of_one_that_was_told_at_once(
    server: str, refused: tuple[Path, str], tmp_path: Path
) -> None:
    """Its clocks and digests of its own conf apart."""
    other = lay_project(tmp_path / "project")
    conf = other / "conf" / CASE / "globals.yml"
    conf.write_text(yaml.safe_dump({**yaml.safe_load(conf.read_text()), "case": "other"}))
    (other / "conf" / CASE).rename(other / "conf/other")
    done = kedro(other, server, "run", "--env", "other", "--namespaces", TASK)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "wait in" not in done.stderr
    (live,), (told, *_) = runs_of("other"), runs_of(CASE)
    assert history(told) and history(told) == history(live)
    assert set(told.data.metrics) == set(live.data.metrics)
    assert told.data.params == {**live.data.params, "case": CASE}
    missing = {name.partition("/")[2] for name in files_of(live) - files_of(told)}
    assert missing <= {"model_card.json", "registered_model.json", "lineage.json",
                       "lineage_images.parquet", "lineage_files.parquet"}  # fmt: skip
    lacking = {name for name in live.data.tags if name not in told.data.tags}
    assert all("registered" in name or "making" in name or "lineage" in name for name in lacking)
    named = {each.dataset.name: each.dataset.digest for each in live.inputs.dataset_inputs}
    assert {e.dataset.name: e.dataset.digest for e in told.inputs.dataset_inputs} == named
