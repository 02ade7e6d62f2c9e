"""Roads that are walked to their end, and roads on which faults are planted."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from planted_faults import Fault
from safetensors import safe_open
from tiny_roads import CASE

from graft.adapters.lineage.outputs import content_of_output, without_times
from graft.pipeline_registry import register_pipelines
from graft.vision.records import digest_of
from graft.vision.store import ArrayStore

HERE = Path(__file__).parent
LEFT = ("data", "mlruns", "mlflow.db")
"""What a run leaves in a project."""
NO_OUTPUTS = ("checkpoints", "lineage", "registered_model.json")
"""Stores, and what says when or as which version something was done."""


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code (negative: the signal that killed it), what it said, the
    number of calls by node and place, the functions that changed files, and seconds of processor.
    """

    code: int
    said: str
    counts: dict[str, dict[str, int]]
    sites: list[str]
    cpu_s: float


class WarmKedro:
    """A `warm_kedro.py` that runs in a project."""

    def __init__(self, project: Path, scratch: Path) -> None:
        self.project = project
        command = [sys.executable, str(HERE / "warm_kedro.py"), str(scratch)]
        paths = os.pathsep.join(map(str, (project / "src", HERE, HERE.parent)))
        self.process = subprocess.Popen(
            command,
            cwd=project,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, task: str, fault: Fault = Fault()) -> Done:  # noqa: B008 (frozen)
        """`kedro run` of the tiny case's task, which a fault may befall."""
        assert self.process.stdin is not None and self.process.stdout is not None
        arguments = ["run", "--env", CASE, "--namespaces", task]
        self.process.stdin.write(json.dumps([astuple(fault), *arguments]) + "\n")
        self.process.stdin.flush()
        return Done(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def statuses(self) -> list[str]:
        """Of the runs in MLflow, oldest first."""
        with closing(sqlite3.connect(self.project / "mlflow.db")) as database:
            rows = database.execute("SELECT status FROM runs ORDER BY start_time").fetchall()
        return [str(status) for (status,) in rows]


def outputs_in(project: Path, task: str) -> dict[str, str | None]:
    """The content of each output of a task that the catalog keeps, by path; None of a page."""
    folders = sorted((project / "data").glob(f"0[2-8]_*/{CASE}/{task}"))
    found = {}
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if path.name[0] != "." and path.name not in NO_OUTPUTS:
            found[path.relative_to(project).as_posix()] = content_of_output(path)
    return found


def arrays_in(project: Path) -> dict[str, dict[str, str]]:
    """Each store below data/: the digest of each array by its key; damaged ones fail."""
    found = {}
    for root in sorted({index.parent for index in (project / "data").rglob("*.index")}):
        store = ArrayStore(root.parent, root.name)
        arrays = {key: digest_of([*store.read(key).shape, store.read(key).tobytes().hex()])
                  for key in store.entries()}  # fmt: skip
        found[root.relative_to(project).as_posix()] = arrays
    return found


def trainings_in(project: Path, task: str) -> dict[str, Any]:
    """Digest of the best weights of each training, and its history but for the clock's."""
    found = {}
    folder = project / f"data/06_models/{CASE}/{task}/checkpoints"
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            facts = without_times(json.loads(file.metadata()["facts"]))
            assert facts["done"], path
            arrays = {name: file.get_tensor(name).tobytes().hex() for name in file.keys()}  # noqa: SIM118
        found[path.name] = digest_of([arrays, facts["history"], facts["best_epoch"]])
    return found


def models_in(project: Path, task: str) -> list[tuple[str, str]]:
    """Versions of the task's registered model with their aliases."""
    asked = (
        "SELECT v.version, coalesce(a.alias, '') FROM model_versions v "
        "LEFT JOIN registered_model_aliases a ON a.name = v.name AND a.version = v.version "
        "WHERE v.name = ? ORDER BY v.version"
    )
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        return [(str(v), a) for v, a in database.execute(asked, (f"{CASE}-{task}",)).fetchall()]


def litter_in(project: Path) -> list[str]:
    """What a killed run leaves beside what it writes."""
    names = [path.relative_to(project).as_posix() for path in (project / "data").rglob("*")]
    return [name for name in names if ".part" in name or ".old" in name]


def clear(project: Path) -> None:
    """Take away what runs have left; raw data stays."""
    shutil.rmtree(project / "mlruns", ignore_errors=True)
    for path in (project / "data").iterdir():
        if path.name != "01_raw":
            shutil.rmtree(path)
    for path in project.glob("*mlflow.db*"):
        path.unlink()


def nodes_of(task: str) -> Iterator[Any]:
    """The task's nodes in the registry, in an order in which they can run."""
    whole = register_pipelines()["__default__"]
    yield from (node for node in whole.nodes if node.namespace == task)
