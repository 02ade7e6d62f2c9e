"""How a run begins: MLflow is asked once, and not waited for."""

import logging
from pathlib import Path

from graft.adapters.faults import causes
from graft.adapters.faults.tracking import explain_tracking
from graft.adapters.tracking.connection import Store, TrackingOptions, locate, open_store
from graft.adapters.tracking.reaping import PROCESS, end_dead_runs, this_process
from graft.adapters.tracking.run import Head, OpenRun, now_ms
from graft.adapters.tracking.store import is_server
from graft.adapters.tracking.watch import watched

log = logging.getLogger("graft")


def begin_run(options: TrackingOptions, project: Path, name: str, goes_on: str) -> OpenRun:
    """Open a run. A server that does not answer is told later; a file that cannot be used is not.

    Args:
        goes_on: the command that registers what this run will have trained.

    Raises:
        OptionsError: for an address that MLflow cannot keep runs at.
        TrackingError: for a local store that is locked, damaged, or cannot be written.
    """
    from mlflow.tracking.context import registry

    store = locate(options, project)
    fault = _ask(store, options.experiment)
    tags = {PROCESS: this_process(), "mlflow.runName": name}
    head = Head(name, options.experiment, store.address, registry.resolve_tags(tags), now_ms())
    return OpenRun(store, head, goes_on, fault)


def _ask(store: Store, experiment: str) -> Exception | None:
    """What is wrong with a server; None where it knows the experiment, and which runs are dead."""
    from mlflow import MlflowClient

    try:
        open_store(store, experiment)
        dead = watched(store.uri, lambda: end_dead_runs(MlflowClient(), experiment))
    except Exception as error:
        if not is_server(store.uri) or explain_tracking([*causes(error)]) is None:
            raise
        return error
    if dead:
        log.info("%d earlier runs ended without a word; they read KILLED now", len(dead))
    return None
