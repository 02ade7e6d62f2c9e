"""How MLflow is told of a journal: every record once, however often it is tried.

A run is looked for by its journal's name before it is created. Metrics keep the time at which they
were measured, so that the same row sent again is the same row; tags, parameters, inputs and files
overwrite themselves. What is sent twice because a kill came before the mark changes nothing.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from graft.adapters.atomic import blaming
from graft.adapters.faults import readable
from graft.adapters.faults.tracking import TrackingError
from graft.adapters.tracking.connection import Store
from graft.adapters.tracking.journal import ARTIFACT, CREATE, Journal
from graft.adapters.tracking.reaping import end_unfinished_models
from graft.adapters.tracking.watch import watched
from graft.vision.errors import GraftError

JOURNAL = "journal"
"""The tag of a run by which it is found again."""
FINISHED = "FINISHED"


class UnkeptFilesError(GraftError):
    """Where MLflow keeps files none can be kept; all else it was told."""


def create_run(store: Store, head: Mapping[str, Any], *, perhaps_there: bool = False) -> Any:
    """The run of a journal by its first record; where it may be there already, it is looked for."""
    from mlflow import MlflowClient

    client, experiment = MlflowClient(), store.experiment(head["experiment"])
    if perhaps_there:
        asked = f"tags.{JOURNAL} = '{head['journal']}'"
        for found in client.search_runs([experiment], asked, max_results=1):
            return found
    tags = {**head["tags"], JOURNAL: head["journal"]}
    return client.create_run(experiment, head["time_ms"], tags, head["name"])


def send(store: Store, run_id: str, record: Mapping[str, Any], file: Path | None = None) -> None:
    """Tell of one record, once its run is there."""
    from mlflow import MlflowClient

    def told() -> None:
        with blaming(store.artifacts):
            SENDERS[record["do"]](MlflowClient(), run_id, record, file)

    watched(store.uri, told)


def deliver(store: Store, journal: Journal) -> str:
    """Send all of a journal that waits, in its order; returns the id of its run.

    A file that cannot be kept does not hold up what comes after it, least of all how the run ended.

    Raises:
        UnkeptFilesError: when all was told but files, which the store does not keep.
        Exception: of MLflow, when it does not answer or refuses a record.
    """
    run_id = journal.run_id or ""
    unkept: Exception | None = None
    for number, record in journal.waiting():
        try:
            if record["do"] == CREATE:
                create = partial(create_run, store, record, perhaps_there=True)
                run_id = str(watched(store.uri, create).info.run_id)
            else:
                send(store, run_id, record, journal.file_of(number, record.get("name", "")))
        except Exception as error:
            if record["do"] != ARTIFACT or isinstance(error, TrackingError):
                raise
            unkept = error
        else:
            journal.mark(number, run_id)
    if unkept is not None:
        raise UnkeptFilesError(readable(unkept) or repr(unkept)) from unkept
    return run_id


def _send_tags(client: Any, run_id: str, record: Mapping[str, Any], _: Path | None) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in record["tags"].items()])


def _send_params(client: Any, run_id: str, record: Mapping[str, Any], _: Path | None) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, said) for name, said in record["params"].items()])


def _send_metrics(client: Any, run_id: str, record: Mapping[str, Any], _: Path | None) -> None:
    """Each as name, value, time (ms) and step."""
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(*metric) for metric in record["metrics"]])


def _send_input(client: Any, run_id: str, record: Mapping[str, Any], _: Path | None) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tags = [InputTag(name, value) for name, value in record["tags"].items()]
    client.log_inputs(run_id, [DatasetInput(Dataset(**record["dataset"]), tags)])


def _send_artifact(client: Any, run_id: str, record: Mapping[str, Any], file: Path | None) -> None:
    client.log_artifact(run_id, str(file), record["folder"])


def _send_end(client: Any, run_id: str, record: Mapping[str, Any], _: Path | None) -> None:
    """A run that did not end well leaves no model that looks as if it would still come."""
    if record["status"] != FINISHED:
        end_unfinished_models(client, run_id)
    client.set_terminated(run_id, record["status"], record["time_ms"])


SENDERS: dict[str, Callable[[Any, str, Mapping[str, Any], Path | None], None]] = {
    "tags": _send_tags,
    "params": _send_params,
    "metrics": _send_metrics,
    "input": _send_input,
    ARTIFACT: _send_artifact,
    "end": _send_end,
}
