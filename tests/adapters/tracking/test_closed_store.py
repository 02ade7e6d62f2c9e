"""A local store that is locked or keeps no files while a run is on: said plainly, nothing lost."""

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest

from graft.adapters.tracking.connection import connect
from graft.adapters.tracking.journal import Journal
from graft.adapters.tracking.run import OpenRun, UnregisteredError
from recorded_runs import GOES_ON, OPTIONS, begin, record, run_of, runs, waiting


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    before = mlflow.get_tracking_uri()
    logging.getLogger("graft").propagate = True  # a command may have kept its lines to itself
    yield tmp_path
    mlflow.set_tracking_uri(before)


def open_in(project: Path) -> OpenRun:
    return begin(project, f"sqlite:///{project}/mlflow.db")


def whole_run(project: Path) -> dict[str, Any]:
    """What MLflow knows of a run with which nothing was wrong."""
    run = open_in(project)
    record(run, project)
    run.end("FINISHED")
    return run_of(str(run.run_id))


def deliver(run: OpenRun, project: Path) -> None:
    """As the next command does."""
    connect(OPTIONS.model_copy(update={"tracking_uri": run.store.uri}), project)


def test_run__whose_files_find_no_place_tells_the_rest_and_keeps_them(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = whole_run(project)
    folder = project / "mlruns/tiny"
    folder.rename(project / "kept")
    folder.write_text("a file in the way")
    run = open_in(project)
    record(run, project)
    with pytest.raises(UnregisteredError) as refused:
        run.register("tiny-classification", lambda: None)
    run.end("FINISHED")
    assert f"`{GOES_ON}` registers" in str(refused.value)
    assert "a file stands where a folder should be" in caplog.text
    assert caplog.text.count("wait in") == 1
    folder.unlink()
    (project / "kept").rename(folder)
    assert run_of(str(run.run_id)) == {**expected, "files": {}}
    deliver(run, project)
    assert run_of(str(run.run_id)) == expected
    assert waiting(project) == []


def test_run__that_is_stopped_while_it_tells_loses_no_record(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = open_in(project)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mlflow.MlflowClient, "log_batch", stop)
        run.tags({"a": 1})
    run.end("KILLED")
    told = run_of(str(run.run_id))
    assert told["tags"]["a"] == "1" and told["status"] == "KILLED"
    assert waiting(project) == []


def test_run__that_ended_where_no_journal_could_be_kept_reads_as_it_ended(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    run = open_in(project)
    with monkeypatch.context() as patch:
        patch.setattr("graft.adapters.tracking.journal._append", refuse)
        patch.setattr(Journal, "drop", refuse)
        run.tags({"error": "a bug"})
        run.end("FAILED")
    assert len(waiting(project)) == 1
    monkeypatch.setattr("graft.adapters.tracking.waiting.is_dead", lambda process: True)
    deliver(run, project)
    told = run_of(str(run.run_id))
    assert told["status"] == "FAILED" and told["tags"]["error"] == "a bug"
    assert waiting(project) == []


@pytest.mark.slow
def test_run__whose_database_is_locked_for_long_goes_on_and_tells_it_later(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """MLflow waits for 20 s; once, not for each record."""
    expected = whole_run(project)
    run = open_in(project)
    started = time.perf_counter()
    with closing(sqlite3.connect(project / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        record(run, project)
        assert time.perf_counter() - started < 30
    assert "another process holds it" in caplog.text and len(waiting(project)) == 1
    run.end("FINISHED")
    deliver(run, project)
    assert run_of(str(run.run_id)) == expected
    assert waiting(project) == [] and len(runs()) == 2
