"""A run beside a server that is dead, dies or lies silent: as quick as ever, and nothing lost."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from graft.adapters.faults.tracking import TrackingError
from graft.adapters.tracking.connection import SETTINGS, connect
from graft.adapters.tracking.run import UnregisteredError
from recorded_runs import GOES_ON, OPTIONS, begin, record, run_of, runs, waiting
from shaky_server import ShakyServer, shaky_server

ADDED_MOST_S = 2.0
FAULTS = ("gone", "hanging", "failing")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShakyServer]:
    os.environ.update(SETTINGS)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    before = mlflow.get_tracking_uri()
    with shaky_server(tmp_path_factory.mktemp("server")) as server:
        mlflow.set_tracking_uri(server.uri)
        yield server
    mlflow.set_tracking_uri(before)


@pytest.fixture(autouse=True)
def well(server: ShakyServer) -> Iterator[None]:
    logging.getLogger("graft").propagate = True  # a command may have kept its lines to itself
    server.become("well")
    yield


def whole_run(project: Path, server: ShakyServer) -> tuple[float, str | None]:
    """Seconds that a short run takes, and what MLflow calls it."""
    started = time.perf_counter()
    run = begin(project, server.uri)
    record(run, project)
    run.end("FINISHED")
    return time.perf_counter() - started, run.run_id


@pytest.fixture(scope="module")
def live(server: ShakyServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What MLflow knows of the run where nothing was wrong, its seconds and its requests."""
    server.become("well")
    whole_run(tmp_path_factory.mktemp("first"), server)  # imports take time
    server.become("well")
    seconds, run_id = whole_run(tmp_path_factory.mktemp("live"), server)
    requests = server.become("well")
    assert run_id is not None
    return {**run_of(run_id), "seconds": seconds, "requests": requests}


def deliver(project: Path, server: ShakyServer) -> None:
    """As the next command does."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    connect(OPTIONS.model_copy(update={"tracking_uri": server.uri}), project)


def assert_told_once(live: dict[str, Any], known: set[str], status: str = "FINISHED") -> None:
    """One run more than before, that is the live one's equal."""
    (found,) = [run.info.run_id for run in runs() if run.info.run_id not in known]
    expected = {name: said for name, said in live.items() if name not in ("seconds", "requests")}
    assert run_of(found) == {**expected, "status": status}


def known() -> set[str]:
    return {run.info.run_id for run in runs()}


def assert_quick_and_told_once_later(
    server: ShakyServer, live: dict[str, Any], project: Path, how: str, after: int
) -> None:
    before = known()
    server.become(how, well_first=after)
    seconds, _ = whole_run(project, server)
    assert seconds < live["seconds"] + ADDED_MOST_S
    assert len(waiting(project)) == 1
    server.become("well")
    deliver(project, server)
    assert_told_once(live, before)
    assert waiting(project) == []


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("after", [0, 4, 12])
def test_run__beside_a_server_that_dies_is_as_quick_and_told_once_later(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, how: str, after: int
) -> None:
    assert_quick_and_told_once_later(server, live, tmp_path, how, after)


@pytest.mark.slow
@pytest.mark.parametrize("how", FAULTS)
def test_run__beside_a_server_that_dies_at_any_request_is_told_once_later(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, how: str
) -> None:
    for after in range(live["requests"]):
        assert_quick_and_told_once_later(server, live, tmp_path, how, after)


def test_run__says_once_where_its_records_wait(
    server: ShakyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.become("failing", well_first=7)
    whole_run(tmp_path, server)
    (journal,) = waiting(tmp_path)
    (said,) = [line.getMessage() for line in caplog.records if "wait in" in line.getMessage()]
    assert str(journal) in said and "`kedro model deliver`" in said and server.uri in said


def test_run__that_is_answered_again_before_it_ends_leaves_nothing_to_wait(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graft.adapters.tracking.run.ASKED_LATELY_S", 0.0)
    before = known()
    server.become("gone")
    run = begin(tmp_path, server.uri)
    record(run, tmp_path)
    assert run.run_id is None and mlflow.active_run() is None
    server.become("well")
    run.end("FINISHED")
    assert_told_once(live, before)
    assert waiting(tmp_path) == [] and mlflow.active_run() is None


def process(act: Callable[[], Any]) -> int:
    """The number of a process of its own, which ends with code 0 once this is done."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return child


def killed_at(server: ShakyServer, number: int, moment: str, act: Callable[[], Any]) -> bool:
    """Do something in a process that the server kills at a request; whether it came to that."""
    begin, said = os.pipe()
    child = process(lambda: (os.read(begin, 1), act()))
    server.become("well", kills=child, kills_at=(number, moment))
    os.write(said, b"1")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    server.become("well")
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_delivery__that_is_killed_at_any_request_changes_nothing_in_the_end(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    before = known()
    server.become("gone")
    whole_run(tmp_path, server)
    # Each goes on where the one before was killed, and comes a little farther.
    kills = 0
    while killed_at(server, 4 + kills % 4, moment, lambda: deliver(tmp_path, server)):
        kills += 1
    assert kills > 5
    assert_told_once(live, before)
    assert waiting(tmp_path) == []


def test_delivery__by_several_at_once_tells_once(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path
) -> None:
    before = known()
    server.become("gone")
    whole_run(tmp_path, server)
    server.become("well", slow_s=0.05)
    children = [process(lambda: deliver(tmp_path, server)) for _ in range(4)]
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    server.become("well")
    assert_told_once(live, before)
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("number", [7, 13, 19])
def test_run__that_is_killed_reads_killed_and_keeps_what_it_had_recorded(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, number: int
) -> None:
    before = known()
    assert killed_at(server, number, "before", lambda: whole_run(tmp_path, server))
    deliver(tmp_path, server)
    (found,) = known() - before
    told = run_of(found)
    assert told["status"] == "KILLED"
    assert told["tags"].pop("error") == "its process ended without a word"
    assert told["tags"].items() <= live["tags"].items()
    assert all(live["metrics"][name] == rows for name, rows in told["metrics"].items())
    assert waiting(tmp_path) == []


def test_run__whose_process_dies_beside_a_dead_server_reads_killed(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path
) -> None:
    before = known()
    server.become("gone")

    def die() -> None:
        record(begin(tmp_path, server.uri), tmp_path)
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(process(die), 0)
    server.become("well")
    deliver(tmp_path, server)
    (found,) = known() - before
    assert run_of(found)["tags"].pop("error") == "its process ended without a word"
    assert run_of(found)["status"] == "KILLED"
    assert run_of(found)["metrics"] == live["metrics"]


def test_run__waits_for_a_server_that_lives_and_is_slow(
    server: ShakyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.become("well", slow_s=1.2)
    run = begin(tmp_path, server.uri)
    run.tags({"a": 1})
    server.become("well")
    run.end("FINISHED")
    assert waiting(tmp_path) == [] and "wait in" not in caplog.text
    assert run_of(str(run.run_id))["tags"]["a"] == "1"


@pytest.mark.parametrize("how", FAULTS)
def test_register__with_a_dead_server_names_the_command_that_goes_on(
    server: ShakyServer, tmp_path: Path, how: str
) -> None:
    server.become(how)
    started = time.perf_counter()
    run = begin(tmp_path, server.uri)
    with pytest.raises(UnregisteredError) as refused:
        run.register("tiny-classification", mlflow.MlflowClient().search_registered_models)
    run.end("FAILED")
    assert time.perf_counter() - started < ADDED_MOST_S
    said = str(refused.value)
    assert said.startswith("tiny-classification is trained and kept, and not registered: MLflow's")
    assert f"`{GOES_ON}` registers this very model without training again" in said


@pytest.mark.parametrize("how", FAULTS)
def test_register__that_the_server_dies_in_does_not_wait(
    server: ShakyServer, tmp_path: Path, how: str
) -> None:
    run = begin(tmp_path, server.uri)
    server.become(how)
    started = time.perf_counter()
    with pytest.raises(UnregisteredError):
        run.register("tiny-classification", mlflow.MlflowClient().search_registered_models)
    run.end("FAILED")
    assert time.perf_counter() - started < ADDED_MOST_S


def test_deliver__sends_to_the_address_that_was_meant(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = known()
    begin(tmp_path, "http://127.0.0.1:9").end("FINISHED")
    deliver(tmp_path, server)
    assert len(waiting(tmp_path)) == 1 and known() == before
    assert "they are meant for http://127.0.0.1:9" in caplog.text and "--moved" in caplog.text


def test_run__where_no_journal_can_be_kept_needs_a_server(
    server: ShakyServer, live: dict[str, Any], tmp_path: Path
) -> None:
    before = known()
    (tmp_path / "data").write_text("a file where the folder should be")
    whole_run(tmp_path, server)
    assert_told_once(live, before)
    server.become("gone")
    said = r"does not answer.*data/09_tracking\S*: a file stands where a folder.*next: move"
    with pytest.raises(TrackingError, match=said):
        begin(tmp_path, server.uri)
