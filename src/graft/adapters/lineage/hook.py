"""The hook that binds what a run makes to the run, and writes the record of what it registers."""

from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from graft.adapters.lineage import UNKNOWN

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
        self._run_id: str | None = None

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
        import mlflow

        run = mlflow.active_run()
        self._run_id = run.info.run_id if run else None
        if run is not None:
            mlflow.log_dict(self._conf, PARAMETERS)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Bind the output to the run; of a registered model write the record."""
        import mlflow

        from graft.adapters.lineage.outputs import digest_of_output, judging_code, making_code
        from graft.adapters.lineage.writing import write_lineage

        dataset = self._catalog.get(dataset_name)
        path = getattr(dataset, "path", getattr(dataset, "folder", None))
        if self._run_id is None or path is None:
            return
        task, _, name = dataset_name.rpartition(".")
        if name == REGISTERED:
            mlflow.MlflowClient().set_tag(self._run_id, f"{task}.{MAKING}", making_code(task))
            write_lineage(self._project, self._catalog, task, self._run_id, self._conf)
        else:
            digest = digest_of_output(self._project / path) or UNKNOWN
            mlflow.MlflowClient().set_tag(self._run_id, f"{MADE}.{dataset_name}", digest)
        if name == SCORES:
            judged = judging_code(task)
            mlflow.MlflowClient().set_tag(self._run_id, f"{task}.{JUDGED}", judged)
