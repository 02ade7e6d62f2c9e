"""MLflow's store that cannot be reached, read or written."""

import re
import sys

from graft.vision.errors import GraftError

ELSEWHERE = "or name another store: tracking_uri in the case's mlflow.yml, or MLFLOW_TRACKING_URI"
WORDS = {
    "database is locked": ("another process holds it", "wait for that process or end it"),
    "readonly database": ("it may not be written", f"allow it, {ELSEWHERE}"),
    "unable to open database file": (
        "it cannot be made or opened",
        f"make its folder writable, {ELSEWHERE}",
    ),
    "no such table": ("it is empty, or was moved away", f"bring the store back, {ELSEWHERE}"),
    "database or disk is full": ("the disk is full", "free space and run again"),
    "disk I/O error": ("the disk is full or fails", "free space or check the disk, and run again"),
    "file is not a database": ("it is damaged", f"bring a copy back or move it away, {ELSEWHERE}"),
    "disk image is malformed": ("it is damaged", f"bring a copy back or move it away, {ELSEWHERE}"),
    "out-of-date database schema": (
        "another version of MLflow made it",
        "keep a copy, then run `mlflow db upgrade` on it",
    ),
    "Can't locate revision": (
        "a newer version of MLflow made it",
        f"install that version, {ELSEWHERE}",
    ),
    "Cannot set a deleted experiment": (
        "the case's experiment was deleted there",
        "run `mlflow experiments restore`, or delete it for good with `mlflow gc`",
    ),
}
"""What SQLite and MLflow say, what it means, and what to do next."""

NO_MLFLOW = "API request to "
"""How MLflow begins what it says of an answer that is none of MLflow's."""
SYSTEM = re.compile(
    r"\[Errno -?\d+\] ([\w ]+)|Error\(\d+, '([\w ]+)'\)|(?:read |connect )?timed? ?out", re.I
)
"""How a chain of clients quotes what the system said."""
CARRIERS = ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3", "alembic")


class TrackingError(GraftError):
    """MLflow's store cannot be reached, read or written.

    Args:
        uri: where the store is.
        said: what the library beneath said.
    """

    def __init__(self, uri: str, said: str) -> None:
        otherwise = ("it does not answer as it should", f"start or mend it, {ELSEWHERE}")
        what, mend = next((told for words, told in WORDS.items() if words in said), otherwise)
        # Of a chain of clients, each quoting the next, what the system said in the end.
        system = SYSTEM.search(said)
        found = (system[1] or system[2] or system[0]) if system else said.partition("\n")[0][:200]
        shown = re.sub(r"//[^/@]*@", "//", uri)  # no password on a screen
        super().__init__(f"MLflow's store {shown}: {what}", found=found, mend=mend)


def explain_tracking(chain: list[BaseException]) -> str | None:
    """The message, where an error of MLflow's tells of its store and not of a wrong call."""
    told = next((error for error in chain if isinstance(error, TrackingError)), None)
    if told is not None:
        return str(told)
    carried = [error for error in chain if _library(error) in CARRIERS]
    said = next(filter(_is_of_store, carried), None) or next(filter(_is_no_mlflow, carried), None)
    if said is None:
        return None
    mlflow = sys.modules.get("mlflow")
    return str(TrackingError(mlflow.get_tracking_uri() if mlflow else "", str(said)))


def _is_of_store(error: BaseException) -> bool:
    if _library(error) in ("requests", "urllib3"):
        return True
    if type(error).__name__ == "RestException":
        status: int = error.get_http_status_code()  # type: ignore[attr-defined]
        return status >= 500 or status in (401, 403)
    return any(words in str(error) for words in WORDS)


def _is_no_mlflow(error: BaseException) -> bool:
    return str(error).startswith(NO_MLFLOW)


def _library(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]
