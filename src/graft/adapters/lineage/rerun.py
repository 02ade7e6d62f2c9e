"""A clean checkout of what a record names, and the run of it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from graft.adapters.layers import MODELS, place
from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.code import diff_of
from graft.adapters.lineage.parents import PARENT, keep_parent, parent_of
from graft.adapters.lineage.record import HISTORIES
from graft.adapters.tracking.tree import check_out
from graft.vision.errors import DataError


def lay_out(
    project: Path, record: Mapping[str, Any], overrides: Mapping[str, Any], clone: Path
) -> None:
    """The recorded code, with the recorded parameters as its overlay, before the project's data.

    Raises `DataError` where code, parameters or data are not to be had.
    """
    code, said, task = record["code"], record["configuration"], record["model"]["task"]
    if said == UNKNOWN or UNKNOWN in (code["commit"], code["diff_sha256"]):
        raise DataError("the record names no code or no parameters to run again with")
    diff = diff_of(record["model"]["recorded_by_run"], code)
    if diff is None or not check_out(project, code["commit"], diff, clone):
        raise DataError(
            f"commit {code['commit']} with its recorded difference cannot be checked out",
            mend="bring the commit and the run's artifact code/uncommitted.diff back",
        )
    raw = project / record["data"]["path"]
    if not raw.is_dir():
        raise DataError(f"no raw data at {raw}", mend="bring it back with `dvc pull`")
    target = clone / record["data"]["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(raw.resolve(), target_is_directory=True)
    _write_overlay(clone / "conf" / said["environment"], record, overrides)
    if (parent := parent_of(record)) is not None:  # the checkout's own registry holds none
        keep_parent(parent, place(clone, MODELS, said["globals"]["case"], task) / PARENT)


def _write_overlay(overlay: Path, record: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    said, task = record["configuration"], record["model"]["task"]
    block: dict[str, Any] = {}
    for name, value in {**said["parameters"], **_epochs(record), **overrides}.items():
        place, *path = name.split(".")
        if place == task:
            _put(block, path, value)
    (overlay / "parameters").mkdir(parents=True, exist_ok=True)
    (overlay / "globals.yml").write_text(yaml.safe_dump(said["globals"]))
    (overlay / f"parameters/{task}.yml").write_text(yaml.safe_dump({task: block}))


def _epochs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Where a budget of time planned the epochs, as many as there were: time is not repeated."""
    parameters, task = record["configuration"]["parameters"], record["model"]["task"]
    fixed: dict[str, Any] = {}
    for history, block in HISTORIES.items():
        name = f"{task}.{block}"
        if parameters.get(name, {}).get("budget_s") and record["epochs"][history] != UNKNOWN:
            fixed |= {f"{name}.budget_s": None, f"{name}.epochs": record["epochs"][history]}
    return fixed


def _put(block: dict[str, Any], path: list[str], value: Any) -> None:
    *inner, last = path
    for name in inner:
        block = block.setdefault(name, {})
    block[last] = value


def run_again(clone: Path, record: Mapping[str, Any], say: Any) -> None:
    """Run the whole road of the record's task. Raises `DataError` where the run fails."""
    environment = {
        **os.environ,
        # Nothing of this is kept: runs and models go to a store of the checkout's own.
        "MLFLOW_TRACKING_URI": f"sqlite:///{clone}/mlflow.db",
        "PYTHONPATH": str(clone / "src"),
    }
    task, case = record["model"]["task"], record["configuration"]["environment"]
    command = [sys.executable, "-m", "kedro", "run", "--env", case, "--namespaces", task]
    if (parent := parent_of(record)) is not None:
        command += ["--params", f"{PARENT}={parent['name']}/{parent['version']}"]
    with subprocess.Popen(
        command, cwd=clone, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as running:  # fmt: skip
        lines = list(_said(running, say))
    if running.returncode != 0:
        raise DataError(
            f"{record['model']['name']}/{record['model']['version']} could not be run again",
            found=" ".join(line.strip() for line in lines[-3:]),
            mend="look at the lines above; the environment may not be the one of the lock",
        )


def _said(running: Any, say: Any) -> Iterator[str]:
    for line in running.stdout:
        say(line.rstrip())
        yield line
