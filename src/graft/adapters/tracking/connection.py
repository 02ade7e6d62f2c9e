"""The way to MLflow: one setting, a local SQLite file by default."""

import logging
import os
from pathlib import Path
from typing import Any, Literal

from graft.adapters.tracking.store import SQLITE, usable_store
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
    "mlflow.store.db.utils": logging.CRITICAL,  # what it logs, with a traceback, it raises too
}


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


def connect(options: TrackingOptions, project: Path) -> Any:
    """Point MLflow at its store, make the experiment when it is new, and return the client.

    Raises what `usable_store` raises, within seconds.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    uri = _absolute(os.environ.get("MLFLOW_TRACKING_URI") or options.tracking_uri, project)
    import mlflow
    from mlflow import MlflowClient

    with usable_store(uri):
        mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        if client.get_experiment_by_name(options.experiment) is None:
            folder = project / options.artifact_folder / options.experiment
            location = folder.resolve().as_uri() if uri.startswith(SQLITE) else None
            client.create_experiment(options.experiment, artifact_location=location)
    mlflow.set_experiment(options.experiment)
    return client


def _absolute(uri: str, project: Path) -> str:
    """A relative SQLite path is meant from the project's root, whatever the working folder."""
    path = uri.removeprefix(SQLITE)
    if path == uri or Path(path).is_absolute():
        return uri
    return f"{SQLITE}{(project / path).resolve()}"
