"""The hook that binds what a run makes to the run, and writes the record of what it registers."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from graft.adapters.lineage import UNKNOWN

if TYPE_CHECKING:
    from graft.adapters.tracking.run import OpenRun

PARAMETERS = "lineage/parameters.json"
"""Artifact of a run: its parameters with their types, its globals and what the command overrode."""
MADE = "made"
JUDGED = "code.judging_sha256"
"""Before a task: the digest of the code by which its scores were measured."""
MAKING = "code.making_sha256"
"""Before a task: the digest of all code from which its models come."""
REGISTERED, SCORES = "registered_model", "test_metrics"


class LineageHook:
    """Tags a run with the digest of each output, ``made.TASK.DATASET``, so that a model which is
    registered by another run finds who made what it stands on: by content, not by name.
    """

    def __init__(self) -> None:
        self._run: OpenRun | None = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Keep what conf decides, as it was read."""
        loader = context.config_loader
        self._project = Path(context.project_path)
        self._conf = {
            "environment": context.env or loader.default_run_env,
            "globals": dict(loader["globals"]),
            "parameters": dict(loader["parameters"]),
            "overrides": dict(loader.runtime_params or {}),
        }

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Keep the catalog, which knows where outputs lie."""
        self._catalog = catalog

    @hook_impl(trylast=True)  # the run is opened by TrackingHook
    def before_pipeline_run(self) -> None:
        """State configuration more closely than a run's own parameters do."""
        from graft.adapters.tracking.run import open_run

        self._run = open_run()
        if self._run is not None:
            self._run.text(json.dumps(self._conf, indent=2, default=str), PARAMETERS)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Bind the output to the run; of a registered model write the record."""
        from graft.adapters.lineage.outputs import digest_of_output, judging_code, making_code
        from graft.adapters.lineage.writing import write_lineage

        dataset, run = self._catalog.get(dataset_name), self._run
        path = getattr(dataset, "path", getattr(dataset, "folder", None))
        if run is None or path is None:
            return
        task, _, name = dataset_name.rpartition(".")
        if name == REGISTERED:
            run.tags({f"{task}.{MAKING}": making_code(task)})
            write = partial(write_lineage, self._project, self._catalog, task)
            run.register(
                getattr(dataset, "name", dataset_name), lambda: write(str(run.run_id), self._conf)
            )
        else:
            digest = digest_of_output(self._project / path) or UNKNOWN
            run.tags({f"{MADE}.{dataset_name}": digest})
        if name == SCORES:
            run.tags({f"{task}.{JUDGED}": judging_code(task)})
