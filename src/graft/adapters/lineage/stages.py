"""Which run made what a model stands on, stage by stage, found by the digest of each output."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.hook import MADE, PARAMETERS
from graft.adapters.lineage.outputs import content_of_output, digest_of_output
from graft.adapters.tracking.facts import DIFF, TREE
from graft.vision.records import digest_of

CODE = {"commit": "git.commit", "dirty": "git.dirty", "tree": TREE, "diff_sha256": DIFF}
MACHINE = "machine."


@dataclass(frozen=True)
class Stage:
    """A pipeline of one task: what it saves, by dataset name, and the parameters that it reads."""

    name: str
    outputs: dict[str, Path]
    parameters: tuple[str, ...]


class Maker:
    """A run, and what it states of itself; every fact that it does not state reads unknown."""

    def __init__(self, run: Any) -> None:
        self.run_id: str = run.info.run_id if run else UNKNOWN
        self.tags: Mapping[str, str] = run.data.tags if run else {}

    def tag(self, name: str) -> str:
        """One of its tags."""
        return self.tags.get(name, UNKNOWN)

    def code(self) -> dict[str, str]:
        """Commit, tree and difference of the code that ran."""
        return {key: self.tag(name) for key, name in CODE.items()}

    def machine(self) -> dict[str, str]:
        """Device, threads, instruction set, versions; empty where it was not recorded."""
        prefixed = {k: v for k, v in self.tags.items() if k.startswith(MACHINE)}
        return {key.removeprefix(MACHINE): value for key, value in sorted(prefixed.items())}

    @cached_property
    def conf(self) -> dict[str, Any]:
        """What conf decided for it; empty where it was not recorded."""
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            return dict(mlflow.artifacts.load_dict(f"runs:/{self.run_id}/{PARAMETERS}"))
        except (MlflowException, OSError, ValueError):
            return {}


def stages_of(task: str, catalog: Any, project: Path) -> list[Stage]:
    """The stages of a task in the order data meets them, without those that leave nothing."""
    from kedro.framework.project import pipelines

    stages: list[Stage] = []
    known: set[str] = set()
    for name in pipelines:
        shape = _of_task(pipelines[name], task) if name != "__default__" else None
        saved = sorted(shape.all_outputs() - known) if shape else []
        paths = {each: path for each in saved if (path := _path_of(catalog, each, project))}
        if shape and paths:
            read = tuple(sorted(p for p in shape.inputs() if p.startswith("params:")))
            stages.append(Stage(name, paths, read))
            known |= set(saved)
    return stages


def makers_of(stage: Stage, project: Path, own: Maker, experiment: str) -> dict[str, Maker]:
    """The run that made each output as it lies there; unknown where no run states its digest."""
    return {
        name: _maker(name, digest_of_output(project / path), own, experiment)
        for name, path in stage.outputs.items()
    }


def describe_stage(stage: Stage, project: Path, makers: Mapping[str, Maker]) -> dict[str, Any]:
    """The stage in the record: outputs with digests, and facts of the run that made most."""
    outputs = {
        name.rpartition(".")[2]: {
            "path": path.as_posix(),
            "sha256": digest_of_output(project / path) or UNKNOWN,
            "content_sha256": content_of_output(project / path),
            "run_id": makers[name].run_id,
        }
        for name, path in stage.outputs.items()
    }
    maker = main_maker(makers)
    read = read_parameters(stage, maker.conf) if maker.conf else UNKNOWN
    return {
        "stage": stage.name,
        "run_id": maker.run_id,
        "code": maker.code(),
        "lock_sha256": maker.tag("lock.sha256"),
        "command": maker.tag("command"),
        "machine": maker.machine() or UNKNOWN,
        "parameters": read,
        "parameters_sha256": digest_of(read),
        "outputs": outputs,
    }


def main_maker(makers: Mapping[str, Maker]) -> Maker:
    """The run that made most of a stage's outputs."""
    known = [maker for maker in makers.values() if maker.run_id != UNKNOWN]
    if not known:
        return Maker(None)
    ids = [maker.run_id for maker in known]
    return max(known, key=lambda maker: ids.count(maker.run_id))


def read_parameters(stage: Stage, conf: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a stage reads, by their full name."""
    found: dict[str, Any] = {}
    for name in stage.parameters:
        value: Any = conf["parameters"]
        for part in name.removeprefix("params:").split("."):
            value = value.get(part, {}) if isinstance(value, dict) else {}
        found[name.removeprefix("params:")] = value
    return found


def _maker(name: str, digest: str | None, own: Maker, experiment: str) -> Maker:
    import mlflow

    if digest is None:
        return Maker(None)
    if own.tags.get(f"{MADE}.{name}") == digest:
        return own
    asked = f"tags.`{MADE}.{name}` = '{digest}'"
    found = mlflow.MlflowClient().search_runs(
        [experiment], asked, max_results=1, order_by=["attributes.start_time DESC"]
    )
    return Maker(found[0] if found else None)


def _of_task(pipeline: Any, task: str) -> Any:
    try:
        return pipeline.filter(node_namespaces=[task])
    except ValueError:  # no node of this task
        return None


def _path_of(catalog: Any, name: str, project: Path) -> Path | None:
    """Where a dataset lies below the project; None in memory, and for what is registered."""
    from graft.adapters.datasets import RegisteredModelDataset

    dataset = catalog.get(name)
    path = getattr(dataset, "path", getattr(dataset, "folder", None))
    if path is None or isinstance(dataset, RegisteredModelDataset):
        return None
    return Path(project, str(path)).relative_to(project)
