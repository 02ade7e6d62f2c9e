"""Whether MLflow's store can be used, asked before MLflow is: it would try for minutes."""

import fcntl
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from graft.adapters.faults.tracking import TrackingError
from graft.vision.errors import OptionsError

SQLITE = "sqlite:///"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
SCHEMES = ("sqlite", *PORTS, "databricks", "databricks-uc", "uc")
PATIENCE_S = 8.0
"""How long a server or another writer may take to answer."""
TURN_S = 120.0
"""How long those before may take who make the same database or look at it."""
SERVER_FAULT = 500
"""From this status on it is the server that fails."""
ASKED = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
"""A question that a server answers from its database."""


@contextmanager
def usable_store(uri: str) -> Iterator[None]:
    """Hold the store's lock, with a store that can be read and written.

    MLflow makes its SQLite tables without a lock and one by one, so that runs which start together
    on an absent file break it, and so does a full disk or a kill: here they are made once, beside,
    and take the name when all are there.

    Raises:
        OptionsError: for an address that MLflow cannot keep runs at.
        TrackingError: when the store does not answer, is locked, damaged, or cannot be written.
    """
    scheme = _scheme(uri)
    if scheme not in SCHEMES:
        raise OptionsError(
            f"tracking_uri: MLflow cannot keep runs at {uri!r}",
            allowed="sqlite:///FILE, http(s)://HOST:PORT, or the address of a database",
            mend="correct it in mlflow.yml or in MLFLOW_TRACKING_URI",
        )
    if not uri.startswith(SQLITE):
        knock(uri, PATIENCE_S)
        yield
        return
    path = Path(uri.removeprefix(SQLITE))
    with _locked(path, uri):
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()
        if path.exists():
            _check_database(path, uri)
        else:
            _create_database(path)
        yield


@contextmanager
def _locked(path: Path, uri: str) -> Iterator[None]:
    """A lock beside the database, so that one run creates it and the others wait."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise TrackingError(uri, f"unable to open database file ({error})") from error
    with lock:
        until = time.monotonic() + TURN_S
        while not has_turn(lock):
            if time.monotonic() > until:
                raise TrackingError(uri, "database is locked")
            time.sleep(0.02)
        yield


def has_turn(lock: IO[str]) -> bool:
    """Whether this process got the lock of an open file, which ends with its process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create_database(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    part = path.with_name(f".{path.name}.part")
    for left in path.parent.glob(f"{part.name}*"):
        left.unlink()
    store = SqlAlchemyStore(f"{SQLITE}{part}", str(path.parent / "mlruns"))
    store.engine.dispose()
    part.replace(path)


def _check_database(path: Path, uri: str) -> None:
    """Write and take it back: a database that is locked, closed or damaged says so."""
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("CREATE TABLE graft_was_here (note TEXT)")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise TrackingError(uri, str(error)) from error


def is_server(uri: str) -> bool:
    """Whether the store is reached over the network, where whatever answers may cease to."""
    return _scheme(uri) != "sqlite"


def knock(uri: str, patience_s: float) -> None:
    """Raise `TrackingError` for a server that does not answer in time, or says that it fails.

    Any other answer will do; what it says is MLflow's to judge.
    """
    import requests

    scheme = _scheme(uri)
    try:
        if scheme in ("http", "https"):
            with requests.get(uri.rstrip("/") + ASKED, timeout=patience_s, stream=True) as answer:
                if answer.status_code >= SERVER_FAULT:
                    raise TrackingError(uri, f"status {answer.status_code} {answer.reason}")
        elif (host := urlsplit(uri).hostname) is not None and scheme in PORTS:
            address = (host, urlsplit(uri).port or PORTS[scheme])
            socket.create_connection(address, patience_s).close()
    except requests.exceptions.SSLError:  # somebody is there
        return
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: no port
        raise TrackingError(uri, str(error)) from error


def _scheme(uri: str) -> str:
    return urlsplit(uri).scheme.partition("+")[0] or uri
