"""The hook that keeps an MLflow run for each `kedro run`, and says the truth about how it ended."""

import atexit
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from graft.adapters.layers import LOCK

if TYPE_CHECKING:
    from graft.adapters.tracking.run import OpenRun


class TrackingHook:
    """Opens a run, records each dataset as its catalog entry's ``metadata: mlflow`` says, ends it.

    kedro-mlflow is not used: it logs typed parameters as one string, overwrites metrics of equal
    name in two namespaces, and records neither commit nor data digest.
    """

    def __init__(self) -> None:
        self._run: OpenRun | None = None
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
        from graft.adapters.tracking.connection import TrackingOptions
        from graft.adapters.tracking.opening import begin_run

        self._end_stopped()  # one that was interrupted in this very process, as in a notebook
        where = "conf mlflow.yml (where experiment is the case that globals.yml names)"
        options = TrackingOptions.parse(self._settings, where)
        name = "+".join(run_params.get("pipeline_names") or ["whole road"])
        goes_on = _registering(run_params.get("env"), pipeline)
        # Before MLflow's own last word, which calls every run FINISHED that nothing else ended.
        atexit.register(self._end_stopped)
        self._device_known = False
        self._run = begin_run(options, self._project, name, goes_on)
        try:
            self._record_start(self._run, pipeline, options.lineage.data)
        except Exception as error:
            self.on_pipeline_error(error)
            raise

    def _record_start(self, run: "OpenRun", pipeline: Any, asked: str) -> None:
        from graft.adapters.lineage.dvc_objects import verify_version
        from graft.adapters.tracking.facts import run_facts, tree_facts, uncommitted_diff

        diff = uncommitted_diff(self._project)
        run.tags({**run_facts(self._project, self._raw), **tree_facts(self._project, diff)})
        run.tags(verify_version(self._project, self._data_tags(), asked))
        run.params(self._parameters(pipeline))
        if diff:
            run.text(diff, "code/uncommitted.diff")
        lock = self._project / LOCK
        if lock.is_file():
            run.artifact(lock, "code")

    def _record_device(self, run: "OpenRun") -> None:
        """Once the run computes: only PyTorch knows the device, and its import would hold up the
        first step, and steps that never need it."""
        from graft.adapters.tracking.facts import device_facts

        if not self._device_known and "torch" in sys.modules:
            run.tags(device_facts())
            self._device_known = True

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record what was saved, in the way its catalog entry asks for."""
        from graft.adapters.tracking.recording import RECORDERS

        if self._run is None:
            return
        self._record_device(self._run)
        dataset = self._catalog.get(dataset_name)
        kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
        if kind is not None:
            task, _, name = dataset_name.rpartition(".")
            RECORDERS[kind](self._run, task, name, data, dataset.path, self._data_tags())

    @hook_impl(trylast=True)  # what fails there too is no FINISHED
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
        from graft.adapters.faults import readable

        if self._run is not None:
            said = readable(error) or f"{type(error).__name__}: {error}"
            with suppress(Exception):
                self._run.tags({"error": said[:5000]})
            with suppress(Exception):
                self._end("FAILED")

    def _end_stopped(self) -> None:
        """The process ends and nothing has ended the run: it was stopped."""
        with suppress(Exception):
            self._end("KILLED")

    def _end(self, status: str) -> None:
        run, self._run = self._run, None
        if run is not None:
            with suppress(Exception):  # a store that fails by now does not hide how the run ended
                self._record_device(run)
            run.end(status)

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


def _registering(case: str | None, pipeline: Any) -> str:
    """The command that registers what a run has trained, of the tasks that it went through."""
    tasks = sorted({node.namespace for node in pipeline.nodes if node.namespace})
    where = f" --env {case}" if case else ""
    return f"kedro run{where} --pipelines registration --namespaces {','.join(tasks)}"


def _flatten(prefix: str, value: Any, flat: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}", inner, flat)
    else:
        # MLflow allows letters, digits and _-./ : in a key, and 6000 characters in a value.
        flat[re.sub(r"[^\w\-./: ]", "_", prefix)[:250]] = str(value)[:6000]
