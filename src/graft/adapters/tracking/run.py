"""The run that is open: it records into its journal first, and tells MLflow while that answers."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from graft.adapters.faults import causes
from graft.adapters.faults.disk import explain_disk
from graft.adapters.faults.tracking import TrackingError, explain_tracking
from graft.adapters.tracking.connection import Store, open_store
from graft.adapters.tracking.journal import ARTIFACT, CREATE, END, Journal
from graft.adapters.tracking.sending import create_run, deliver, send
from graft.adapters.tracking.store import is_server, knock
from graft.adapters.tracking.watch import KNOCK_S, watched
from graft.vision.errors import GraftError

log = logging.getLogger("graft")
WAITS = (
    "%s\nThe run goes on. Its records wait in %s; the next `kedro run`, `kedro retrain` or "
    "`kedro model` command sends them, and so does `kedro model deliver`."
)
SENT = "MLflow answers again: all that waited is sent."
ASKED_LATELY_S = 2.0
"""A server that was silent a moment ago is not asked again."""
Metrics = Sequence[tuple[str, float, int, int]]
"""Name, value, time in milliseconds, step."""

Found = TypeVar("Found")
_open: "OpenRun | None" = None


class UnregisteredError(GraftError):
    """A model that is trained and kept could not be brought to the registry."""


class UnkeptRecordsError(TrackingError):
    """What a run records can neither be told to MLflow nor wait for it here.

    Args:
        mlflow, here: what is wrong with either.
    """

    def __init__(self, mlflow: str, here: str) -> None:
        what = "what the run records finds no place"
        GraftError.__init__(self, f"{what}: {mlflow.rstrip('.')}; and {here}")


@dataclass(frozen=True)
class Head:
    """What a run is: the first record of its journal.

    Attributes:
        store: the address that it means.
    """

    name: str
    experiment: str
    store: str
    tags: Mapping[str, str]
    time_ms: int


def open_run() -> "OpenRun | None":
    """The run of this process that has not ended; None where there is none."""
    return _open


class OpenRun:
    """Records what happens; from the first time that MLflow fails, for later.

    Where no journal can be kept, MLflow must answer, or `UnkeptRecordsError` is raised.

    Attributes:
        fault: what is wrong with MLflow; None while it answers.
        full: why it keeps no files; None while it does.
    """

    def __init__(
        self, store: Store, head: Head, goes_on: str, fault: Exception | None = None
    ) -> None:
        """
        Args:
            goes_on: the command that registers what this run has trained.
            fault: what is wrong with MLflow from the beginning.
        """
        global _open
        self.store, self.head, self.goes_on = store, head, goes_on
        self.fault = fault
        self.full: Exception | None = None
        self._mlflow_run: Any = None
        self._number, self._said, self._silent_at = 0, False, time.monotonic()
        self._turn = threading.RLock()  # steps may run in threads
        self._journal, self._keeps = Journal.named(store.journals), True
        first = {"do": CREATE, **asdict(head), "journal": self._journal.folder.name}
        try:
            self._journal.begin(first)
        except OSError as error:
            self._keep_no_more(error)
        if fault is not None:
            self._wait(fault)
        self._tell(first, None)
        _open = self

    @property
    def run_id(self) -> str | None:
        """In MLflow; None while MLflow does not know the run."""
        return None if self._mlflow_run is None else str(self._mlflow_run.info.run_id)

    def tags(self, tags: Mapping[str, object]) -> None:
        """Set tags."""
        self._record({"do": "tags", "tags": {name: str(value) for name, value in tags.items()}})

    def params(self, params: Mapping[str, str]) -> None:
        """Set parameters, which cannot be changed later."""
        self._record({"do": "params", "params": dict(params)})

    def metrics(self, metrics: Metrics) -> None:
        """Add rows of metrics."""
        for start in range(0, len(metrics), 1000):  # the most that one call takes
            self._record({"do": "metrics", "metrics": list(metrics[start : start + 1000])})

    def input(self, dataset: Any, tags: Mapping[str, str]) -> None:
        """Name an MLflow dataset as an input."""
        self._record({"do": "input", "dataset": dataset.to_dict(), "tags": dict(tags)})

    def artifact(self, file: Path, folder: str | None = None) -> None:
        """Keep a file as it is now."""
        self._record({"do": ARTIFACT, "name": file.name, "folder": folder}, file)

    def text(self, text: str, name: str) -> None:
        """Keep a text as a file of this name, which may begin with folders."""
        folder = name.rpartition("/")[0] or None
        with TemporaryDirectory() as scratch:
            file = Path(scratch) / Path(name).name
            file.write_text(text, encoding="utf-8")
            self.artifact(file, folder)

    def end(self, status: str) -> None:
        """Say how the run ended: FINISHED, FAILED or KILLED."""
        global _open
        _open = None
        try:
            with suppress(Exception):
                self.catch_up()
            self._record({"do": END, "status": status, "time_ms": now_ms()})
        finally:
            self._deactivate()
        if not self._journal.waiting():
            with suppress(OSError):
                self._journal.drop()

    def register(self, model: str, act: Callable[[], Found]) -> Found:
        """Do what needs the registry itself, which first learns all that waits.

        Raises:
            UnregisteredError: when it cannot be done now; it says what does it later.
        """
        try:
            self.catch_up()
            return watched(self.store.uri, act, float("inf"))
        except Exception as error:
            told = _of_store(error, files=True)
            if told is None:
                raise
            raise UnregisteredError(
                f"{model} is trained and kept, and not registered: {told.rstrip('.')}; then "
                f"`{self.goes_on}` registers this very model without training again"
            ) from error

    def catch_up(self) -> None:
        """Tell MLflow what waits. Raises what is wrong where that cannot be done."""
        if self.fault is not None:
            self._ask_again(self.fault)
        if not self._journal.waiting():  # one record may, where a signal came before its mark
            return
        run_id = deliver(self.store, self._journal)
        failed = self.fault or self.full
        self.fault = self.full = None
        if self._mlflow_run is None:
            from mlflow import MlflowClient

            self._activate(watched(self.store.uri, lambda: MlflowClient().get_run(run_id)))
        if failed is not None:
            log.info(SENT)

    def _ask_again(self, fault: Exception) -> None:
        if time.monotonic() - self._silent_at < ASKED_LATELY_S:
            raise fault
        try:
            if is_server(self.store.uri):
                knock(self.store.uri, KNOCK_S)
            open_store(self.store, self.head.experiment)
        finally:
            self._silent_at = time.monotonic()

    def _record(self, record: dict[str, Any], file: Path | None = None) -> None:
        """Keep a record, and tell it where that can be done now."""
        with self._turn:
            self._number += 1
            if self._keeps:
                try:
                    self._journal.add(record, self._number, file)
                except OSError as error:
                    self._keep_no_more(error)
            self._tell(record, file)

    def _keep_no_more(self, error: OSError) -> None:
        """The journal's disk is full or closed: MLflow must answer from here on."""
        if (fault := self.fault or self.full) is not None:
            told = _of_store(fault, files=True) or str(fault)
            raise UnkeptRecordsError(told, explain_disk([error]) or str(error)) from error
        self._keeps = False

    def _tell(self, record: dict[str, Any], file: Path | None) -> None:
        is_file = record["do"] == ARTIFACT
        if self.fault is not None or (self.full is not None and is_file):
            self._journal.sync(self._number)
            return
        try:
            if record["do"] == CREATE:
                self._activate(watched(self.store.uri, lambda: create_run(self.store, record)))
            else:
                send(self.store, self.run_id or "", record, file)
        except Exception as error:
            if not self._keeps or _of_store(error, files=is_file) is None:
                raise
            self._wait(error, is_file=is_file)
        else:
            with suppress(OSError):  # what is not marked is told once more, and is the same
                self._journal.mark(self._number, self.run_id or "")

    def _wait(self, error: Exception, *, is_file: bool = False) -> None:
        """From here on records are for later; that is said once."""
        if is_file and not isinstance(error, TrackingError):
            self.full = error
        else:
            self.fault, self._silent_at = error, time.monotonic()
        if not self._said:
            log.warning(WAITS, _of_store(error, files=True), self._journal.folder)
            self._said = True
        self._journal.sync()

    def _activate(self, run: Any) -> None:
        """Let MLflow's own functions know the run, without asking the server, which may hang."""
        from mlflow import ActiveRun
        from mlflow.tracking import fluent

        self._mlflow_run = ActiveRun(run)
        fluent._active_run_stack.get().append(self._mlflow_run)

    def _deactivate(self) -> None:
        """Before MLflow's own last word, which calls every active run FINISHED."""
        if self._mlflow_run is not None:
            from mlflow.tracking import fluent

            stack = fluent._active_run_stack.get()
            stack[:] = [run for run in stack if run is not self._mlflow_run]


def now_ms() -> int:
    """The time in milliseconds, as MLflow states times."""
    return int(time.time() * 1000)


def _of_store(error: Exception, *, files: bool) -> str | None:
    """What is wrong with MLflow's store, or with where it keeps files; None for another fault."""
    chain = list(causes(error))
    return explain_tracking(chain) or (explain_disk(chain) if files else None)
