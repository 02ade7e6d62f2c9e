"""Runs that MLflow was not told of while it could not be: told by whoever comes next."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from graft.adapters.conf import open_conf
from graft.adapters.faults import causes, readable
from graft.adapters.faults.tracking import explain_tracking
from graft.adapters.tracking.connection import Store, TrackingOptions, locate
from graft.adapters.tracking.journal import END, RECORDS, Journal, journals
from graft.adapters.tracking.reaping import PROCESS, WITHOUT_A_WORD, is_dead
from graft.adapters.tracking.sending import UnkeptFilesError, deliver
from graft.adapters.tracking.store import has_turn, usable_store
from graft.adapters.tracking.watch import watched

log = logging.getLogger("graft")
TURN_S = 60.0
"""How long another process that delivers is waited for; it does the same work."""
LOCK = "lock"
ENDS = ("FINISHED", "FAILED", "KILLED")
"""What MLflow says of a run that is over."""


@dataclass
class Delivery:
    """What came of telling: runs that MLflow knows now; those that still wait, each with why."""

    told: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)


def deliver_for(project: Path, case: str | None, *, moved: bool) -> Delivery:
    """As `deliver_waiting`, to the store that a case's conf names. Raises what it cannot reach."""
    said = {**open_conf(project / "conf", case)["mlflow"], "experiment": "Default"}
    store = locate(TrackingOptions.parse(said, "conf mlflow.yml"), project)

    def usable() -> None:
        with usable_store(store.uri):
            pass

    if not _over(store):
        return Delivery()
    watched(store.uri, usable)
    return deliver_waiting(store, moved=moved)


def deliver_waiting(store: Store, *, moved: bool = False) -> Delivery:
    """Send what earlier runs could not, to the store that they meant; log what came of it.

    Args:
        moved: also what was meant for another address: the store was moved here.

    Raises:
        Exception: when MLflow fails meanwhile; the rest still waits.
    """
    found = Delivery()
    if not _over(store):
        return found
    # MLflow prints a link to each run that ends, between what a command prints as JSON.
    with _turn(store) as has_it, redirect_stdout(StringIO()):
        for journal in _over(store) if has_it else []:
            _tell(store, journal, found, moved=moved)
    if found.told:
        log.info("records of %d earlier runs were sent to MLflow", len(found.told))
    for name, why in found.waiting.items():
        log.warning("records still wait in %s: %s", store.journals / name, why)
    return found


def _over(store: Store) -> list[Journal]:
    """Those whose run has ended, or whose process is gone."""
    return [journal for journal in journals(store.journals) if _is_over(journal)]


def _tell(store: Store, journal: Journal, found: Delivery, *, moved: bool) -> None:
    name, records = journal.folder.name, journal.records
    meant = records[0]["store"]
    if meant != store.address and not moved:
        found.waiting[name] = f"they are meant for {meant}; next: `kedro model deliver --moved`"
        return
    try:
        if records[-1]["do"] != END and not _has_ended(store, journal):
            _end(journal)
        deliver(store, journal)
        journal.drop()
    except Exception as error:
        kept = not isinstance(error, UnkeptFilesError)
        if kept and explain_tracking([*causes(error)]) is not None:
            raise  # MLflow is gone again, for whoever came by too
        found.waiting[name] = readable(error) or f"{type(error).__name__}: {error}"
    else:
        found.told.append(name)


def _is_over(journal: Journal) -> bool:
    records = journal.records
    return bool(records) and (records[-1]["do"] == END or is_dead(records[0]["tags"][PROCESS]))


def _has_ended(store: Store, journal: Journal) -> bool:
    """Whether MLflow was told how the run ended by a process that could not keep it here."""
    from mlflow import MlflowClient

    run_id = journal.run_id
    if run_id is None:
        return False
    run = watched(store.uri, lambda: MlflowClient().get_run(run_id))
    return bool(run.info.status in ENDS)


def _end(journal: Journal) -> None:
    """The end of a run that could not tell of it, at the time of its last record."""
    last_ms = int((journal.folder / RECORDS).stat().st_mtime * 1000)
    journal.heal()
    journal.add({"do": "tags", "tags": {"error": WITHOUT_A_WORD}})
    journal.add({"do": END, "status": "KILLED", "time_ms": last_ms})


@contextmanager
def _turn(store: Store) -> Iterator[bool]:
    """Whether this process may deliver; no two do at once, or a run would be created twice."""
    with (store.journals / LOCK).open("w") as lock:
        until = time.monotonic() + TURN_S
        while not (has_it := has_turn(lock)) and time.monotonic() < until:
            time.sleep(0.05)
        yield has_it
