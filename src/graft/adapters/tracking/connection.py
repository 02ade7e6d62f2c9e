"""The way to MLflow: one setting, a local SQLite file by default."""

import fcntl
import logging
import os
from pathlib import Path
from typing import Any

from graft.vision.options import Options


class TrackingOptions(Options):
    """What ``conf/base/mlflow.yml`` may say."""

    tracking_uri: str = "sqlite:///mlflow.db"
    artifact_folder: str = "mlruns"
    experiment: str


def connect(options: TrackingOptions, project: Path) -> Any:
    """Point MLflow at its store, make the experiment when it is new, and return the client.

    MLflow creates its SQLite tables without a lock, so that runs which start together on an
    absent file break it; a lock beside the file lets one of them create it.
    """
    # A run's own lines say what it does; MLflow's bars and table makings do not belong between.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    import mlflow
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or options.tracking_uri
    mlflow.set_tracking_uri(_absolute(uri, project))
    with (project / "mlflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient()
        if client.get_experiment_by_name(options.experiment) is None:
            location = None
            if uri.startswith("sqlite:"):
                folder = project / options.artifact_folder / options.experiment
                location = folder.resolve().as_uri()
            client.create_experiment(options.experiment, artifact_location=location)
    mlflow.set_experiment(options.experiment)
    return client


def _absolute(uri: str, project: Path) -> str:
    """A relative SQLite path is meant from the project's root, whatever the working folder."""
    path = uri.removeprefix("sqlite:///")
    if path == uri or Path(path).is_absolute():
        return uri
    return f"sqlite:///{(project / path).resolve()}"
