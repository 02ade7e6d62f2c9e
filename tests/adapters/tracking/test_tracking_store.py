"""MLflow's store is asked first: whatever is wrong with it is told within seconds."""

import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from graft.adapters.faults.tracking import TrackingError
from graft.adapters.tracking import store
from graft.adapters.tracking.store import usable_store
from graft.vision.errors import OptionsError


def open_store(path: Path) -> None:
    with usable_store(f"sqlite:///{path}"):
        pass


def some_database(path: Path) -> Path:
    """A database that is there already; MLflow's own tables take seconds to make."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
    return path


def test_usable_store__leaves_nothing_in_the_database_that_it_asks(tmp_path: Path) -> None:
    path = some_database(tmp_path / "mlflow.db")
    open_store(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]


def test_usable_store__names_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("no database at all " * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db: it is damaged; .*bring a copy back"):
        open_store(path)
    assert path.read_text().startswith("no database")


def test_usable_store__names_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="cannot be made or opened"):
        open_store(tmp_path / "mlflow.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be made or opened"):
        open_store(tmp_path / "file" / "mlflow.db")


def test_usable_store__says_who_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE_S", 0.1)
    path = some_database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TrackingError, match="another process holds it"):
            open_store(path)
    open_store(path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "postgresql+psycopg2://127.0.0.1:9/x"])
def test_usable_store__does_not_wait_for_a_dead_server(address: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TrackingError, match=r"does not answer.*Connection refused"):
        usable_store(address).__enter__()
    assert time.perf_counter() - started < 5


def test_usable_store__shows_no_password() -> None:
    with pytest.raises(TrackingError) as caught:
        usable_store("postgresql://ann:secret@127.0.0.1:9/x").__enter__()
    assert "secret" not in str(caught.value) and "127.0.0.1:9/x" in str(caught.value)


def test_usable_store__does_not_wait_long_for_a_silent_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TrackingError, match=r"does not answer.*timed out"):
            usable_store(address).__enter__()


@pytest.mark.parametrize("address", ["./mlruns", "ftp://host/runs", "file:///tmp/mlruns"])
def test_usable_store__refuses_an_address_that_keeps_no_runs(address: str) -> None:
    with pytest.raises(OptionsError, match="tracking_uri: MLflow cannot keep runs at"):
        usable_store(address).__enter__()


def test_usable_store__never_leaves_a_half_made_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def stopped(self: SqlAlchemyStore, uri: str, root: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_text("half")
        raise KeyboardInterrupt

    path = tmp_path / "mlflow.db"
    path.touch()  # as a client leaves it that only asked
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SqlAlchemyStore, "__init__", stopped)
        open_store(path)
    assert not path.exists()
    open_store(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]
