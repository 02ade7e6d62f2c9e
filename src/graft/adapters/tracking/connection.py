"""The way to MLflow: one setting, a local SQLite file by default."""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graft.adapters.layers import JOURNALS
from graft.adapters.tracking.store import PATIENCE_S, SQLITE, usable_store
from graft.adapters.tracking.watch import KNOCK_S, watched
from graft.vision.options import Options

SETTINGS = {
    # A run's own lines say what it does; MLflow's bars do not belong between.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that dies must not hold a run for the four minutes that MLflow would try.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
QUIET = {
    "alembic": logging.WARNING,
    "mlflow.tracking.context.registry": logging.ERROR,  # a user without a name is no fault
    "urllib3.connectionpool": logging.ERROR,  # what it tries again is told once, in plain words
    "mlflow.store.db.utils": logging.CRITICAL,  # what it logs, with a traceback, it raises too
}
OPENING_S = 120.0
"""How long a server that lives may take until the store is open."""


class LineageOptions(Options):
    """What a run must be able to show of what it stands on."""

    data: Literal["stated", "pushed"] = "stated"
    """``pushed``: a run starts only when its data version is whole on DVC's remote."""


class TrackingOptions(Options):
    """What ``conf/base/mlflow.yml`` may say."""

    tracking_uri: str = "sqlite:///mlflow.db"
    artifact_folder: str = "mlruns"
    experiment: str
    lineage: LineageOptions = LineageOptions()


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps runs, and where the project keeps what MLflow was not told yet."""

    uri: str
    artifacts: Path
    journals: Path

    @property
    def address(self) -> str:
        """The address without a password."""
        return re.sub(r"//[^/@]*@", "//", self.uri)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made when it is new."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        client, location = MlflowClient(), None
        if self.uri.startswith(SQLITE):
            location = (self.artifacts / name).resolve().as_uri()
        if (found := client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException as error:  # another run that starts now was first
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(client.get_experiment_by_name(name).experiment_id)  # type: ignore[union-attr]


def locate(options: TrackingOptions, project: Path) -> Store:
    """Point MLflow at its store, which is not asked for anything yet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    uri = _absolute(os.environ.get("MLFLOW_TRACKING_URI") or options.tracking_uri, project)
    import mlflow

    mlflow.set_tracking_uri(uri)
    return Store(uri, project / options.artifact_folder, project / JOURNALS)


def connect(options: TrackingOptions, project: Path) -> Any:
    """Point MLflow at its store, make the experiment when it is new, send what waits from earlier
    runs, and return the client.

    Raises what `usable_store` raises, within seconds.
    """
    store = locate(options, project)
    open_store(store, options.experiment, PATIENCE_S)
    from mlflow import MlflowClient

    return MlflowClient()


def open_store(store: Store, experiment: str, patience_s: float = KNOCK_S) -> str:
    """The id of the experiment, once the store is usable and knows what waited for it."""
    import mlflow

    from graft.adapters.tracking.waiting import deliver_waiting

    def opened() -> str:
        with usable_store(store.uri):
            found = store.experiment(experiment)
        mlflow.set_experiment(experiment_id=found)
        return found

    found = watched(store.uri, opened, OPENING_S, patience_s)
    deliver_waiting(store)
    return found


def _absolute(uri: str, project: Path) -> str:
    """A relative SQLite path is meant from the project's root, whatever the working folder."""
    path = uri.removeprefix(SQLITE)
    if path == uri or Path(path).is_absolute():
        return uri
    return f"{SQLITE}{(project / path).resolve()}"
