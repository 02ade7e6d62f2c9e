"""The hook that keeps an MLflow run for each `kedro run`, and says the truth about how it ended."""

import atexit
import logging
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from graft.adapters.atomic import blaming

log = logging.getLogger("graft")


class TrackingHook:
    """Opens a run, records each dataset as its catalog entry's ``metadata: mlflow`` says, ends it.

    kedro-mlflow is not used: it logs typed parameters as one string, overwrites metrics of equal
    name in two namespaces, and records neither commit nor data digest.
    """

    def __init__(self) -> None:
        self._run_id: str | None = None
        self._device_known = False

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Read where to record."""
        self._project = Path(context.project_path)
        self._settings = dict(context.config_loader["mlflow"])
        self._raw = Path(str(context.config_loader["globals"].get("raw", "")))

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Keep the catalog, whose metadata says what is recorded."""
        self._catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any) -> None:
        """Open the run with its parameters and the facts that an auditor asks for."""
        import mlflow

        from graft.adapters.tracking.reaping import PROCESS, this_process

        self._end_stopped()  # one that was interrupted in this very process, as in a notebook
        self._open_store()
        name = "+".join(run_params.get("pipeline_names") or ["whole road"])
        # Before MLflow's own last word, which calls every run FINISHED that nothing else ended.
        atexit.register(self._end_stopped)
        self._device_known = False
        self._run_id = mlflow.start_run(run_name=name, tags={PROCESS: this_process()}).info.run_id
        try:
            with blaming(self._artifacts):
                self._record_start(pipeline)
        except Exception as error:
            self.on_pipeline_error(error)
            raise

    def _open_store(self) -> None:
        from graft.adapters.tracking.connection import TrackingOptions, connect
        from graft.adapters.tracking.reaping import end_dead_runs

        where = "conf mlflow.yml (where experiment is the case that globals.yml names)"
        options = TrackingOptions.parse(self._settings, where)
        self._artifacts = self._project / options.artifact_folder
        self._asked = options.lineage.data
        dead = end_dead_runs(connect(options, self._project), options.experiment)
        if dead:
            log.info("%d earlier runs ended without a word; they read KILLED now", len(dead))

    def _record_start(self, pipeline: Any) -> None:
        import mlflow

        from graft.adapters.lineage.dvc_objects import verify_version
        from graft.adapters.tracking.facts import run_facts, tree_facts, uncommitted_diff

        diff = uncommitted_diff(self._project)
        mlflow.set_tags({**run_facts(self._project, self._raw), **tree_facts(self._project, diff)})
        mlflow.set_tags(verify_version(self._project, self._data_tags(), self._asked))
        mlflow.log_params(self._parameters(pipeline))
        if diff:
            mlflow.log_text(diff, "code/uncommitted.diff")
        lock = self._project / "requirements.lock"
        if lock.is_file():
            mlflow.log_artifact(str(lock), "code")

    def _record_device(self) -> None:
        """Once the run computes: only PyTorch knows the device, and its import would hold up the
        first step, and steps that never need it."""
        import mlflow

        from graft.adapters.tracking.facts import device_facts

        if not self._device_known and "torch" in sys.modules:
            mlflow.set_tags(device_facts())
            self._device_known = True

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record what was saved, in the way its catalog entry asks for."""
        from graft.adapters.tracking.recording import RECORDERS

        if self._run_id is None:
            return
        self._record_device()
        dataset = self._catalog.get(dataset_name)
        kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
        if kind is not None:
            task, _, name = dataset_name.rpartition(".")
            with blaming(self._artifacts):
                RECORDERS[kind](task, name, data, dataset.path, self._data_tags())

    @hook_impl
    def after_pipeline_run(self) -> None:
        """The run ended well."""
        self._end("FINISHED")

    @hook_impl
    def on_node_error(self, error: Exception, node: Any) -> None:
        """Let the error say in which step it came up."""
        error.add_note(f"in step {node.name}")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """The run failed, and says of what; a store that fails does not hide that."""
        import mlflow

        from graft.adapters.faults import readable

        run_id = self._run_id
        if run_id is not None:
            said = readable(error) or f"{type(error).__name__}: {error}"
            with suppress(Exception):
                self._end("FAILED")
                mlflow.MlflowClient().set_tag(run_id, "error", said[:5000])

    def _end_stopped(self) -> None:
        """The process ends and nothing has ended the run: it was stopped."""
        with suppress(Exception):
            self._end("KILLED")

    def _end(self, status: str) -> None:
        if self._run_id is not None:
            import mlflow

            self._run_id = None
            with suppress(Exception):  # a store that fails by now does not hide how the run ended
                self._record_device()
            mlflow.end_run(status)

    def _parameters(self, pipeline: Any) -> dict[str, str]:
        """Every parameter that the run reads, flat: ``classification.fine_tuning.epochs``."""
        names = sorted(name for name in pipeline.inputs() if name.startswith("params:"))
        flat: dict[str, str] = {}
        for name in names:
            value = self._catalog.load(name)
            plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            _flatten(name.removeprefix("params:"), plain, flat)
        return flat

    def _data_tags(self) -> dict[str, str]:
        from graft.adapters.tracking.facts import data_version

        return data_version(self._project, self._raw)


def _flatten(prefix: str, value: Any, flat: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}", inner, flat)
    else:
        # MLflow allows letters, digits and _-./ : in a key, and 6000 characters in a value.
        flat[re.sub(r"[^\w\-./: ]", "_", prefix)[:250]] = str(value)[:6000]
