"""Whether MLflow's store can be used, asked before MLflow is: it would try for minutes."""

import fcntl
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from graft.adapters.faults.tracking import TrackingError
from graft.vision.errors import OptionsError

SQLITE = "sqlite:///"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
SCHEMES = ("sqlite", *PORTS, "databricks", "databricks-uc", "uc")
PATIENCE_S = 8.0
"""How long a server or another writer may take to answer."""


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
    scheme = urlsplit(uri).scheme.partition("+")[0] or uri
    if scheme not in SCHEMES:
        raise OptionsError(
            f"tracking_uri: MLflow cannot keep runs at {uri!r}",
            allowed="sqlite:///FILE, http(s)://HOST:PORT, or the address of a database",
            mend="correct it in mlflow.yml or in MLFLOW_TRACKING_URI",
        )
    if not uri.startswith(SQLITE):
        _knock(uri, scheme)
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
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def _knock(uri: str, scheme: str) -> None:
    """Any answer will do; what it says is MLflow's to judge."""
    import requests

    try:
        if scheme in ("http", "https"):
            requests.get(uri, timeout=PATIENCE_S, stream=True).close()
        elif (host := urlsplit(uri).hostname) is not None and scheme in PORTS:
            address = (host, urlsplit(uri).port or PORTS[scheme])
            socket.create_connection(address, PATIENCE_S).close()
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: no port
        raise TrackingError(uri, str(error)) from error
