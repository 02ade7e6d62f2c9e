"""Any number of runs may start together where no database is yet."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import mlflow.store.tracking.sqlalchemy_store
import pytest

from graft.adapters.tracking import store
from recorded_runs import begin, waiting

TOGETHER, TIMES = 6, 20


@pytest.fixture(autouse=True)
def address() -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


def run_in(project: Path) -> None:
    run = begin(project, f"sqlite:///{project}/mlflow.db")
    run.tags({"number": os.getpid()})
    run.end("FINISHED")


def start(act: Callable[[], Any], gate: int) -> int:
    """A process that begins when the gate is opened; its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(gate, 1)
            act()
            code = 0
        finally:
            os._exit(code)
    return child


def ends(children: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def start_together(project: Path, *acts: Callable[[], Any]) -> list[int]:
    """Their exit codes."""
    gate, opens = os.pipe()
    children = [start(act, gate) for act in acts]
    os.write(opens, b"!" * len(acts))
    codes = ends(children)
    os.close(gate)
    os.close(opens)
    return codes


def statuses(project: Path) -> list[str]:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [str(row[0]) for row in database.execute("SELECT status FROM runs").fetchall()]


def kill_while_creating() -> None:
    """In place of what makes the database: half of it, and the kill."""

    def half(path: Path) -> None:
        part = path.with_name(f".{path.name}.part")
        with closing(sqlite3.connect(part, isolation_level=None)) as database:
            database.execute("CREATE TABLE runs (name TEXT)")
            os.kill(os.getpid(), signal.SIGKILL)

    store._create_database = half


def assert_all_run(project: Path) -> None:
    act = lambda: run_in(project)  # noqa: E731
    assert start_together(project, *[act] * TOGETHER) == [0] * TOGETHER
    assert statuses(project) == ["FINISHED"] * TOGETHER
    assert waiting(project) == []


def test_runs__are_not_held_up_by_one_that_died_while_it_made_the_database(tmp_path: Path) -> None:
    def dying() -> None:
        kill_while_creating()
        run_in(tmp_path)

    assert start_together(tmp_path, dying) == [-signal.SIGKILL]
    assert not (tmp_path / "mlflow.db").exists()
    assert_all_run(tmp_path)


@pytest.mark.slow
def test_runs__that_start_together_all_run_every_time(tmp_path: Path) -> None:
    for number in range(TIMES):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert_all_run(folder)
