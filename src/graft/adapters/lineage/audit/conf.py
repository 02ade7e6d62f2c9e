"""What conf decided, the environment's lock, the machine and the seeds."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graft.adapters.conf import open_conf
from graft.adapters.layers import LOCK
from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.code import diff_of
from graft.adapters.lineage.audit.rows import (
    MISSING,
    Fault,
    Row,
    compared,
    flat,
    judged,
    unrecorded,
)
from graft.adapters.lineage.reading import artifact_of_run
from graft.adapters.tracking.tree import check_out, file_at
from graft.vision.records import digest_of


def check_configuration(case: Audited) -> Row:
    """Every parameter: as conf gives it now, and as the runs in MLflow state it."""
    fact, said = "configuration", case.record["configuration"]
    if said == UNKNOWN:
        return unrecorded(fact, "no run states the parameters with their types")
    faults = list(_stage_faults(case)) + list(_run_faults(case))
    if digest_of(said["parameters"]) != said["sha256"]:
        faults.append(Fault("digest of the parameters", said["sha256"], "another"))
    expected = flat("", said["parameters"])
    faults += list(compared(expected, _conf_now(case)))
    return judged(fact, said["sha256"], faults, f"{len(expected)} parameters")


def _stage_faults(case: Audited) -> Iterator[Fault]:
    """Stages that read other values than a later one, or whose values nobody recorded."""
    known = case.record["configuration"]["parameters"]
    for stage in case.record["stages"]:
        if stage["parameters"] == UNKNOWN:
            yield Fault(f"parameters of {stage['stage']}", UNKNOWN, "not recorded")
        elif (
            digest_of({name: known[name] for name in stage["parameters"]})
            != (stage["parameters_sha256"])
        ):
            found = "other values than a later stage read"
            yield Fault(f"parameters of {stage['stage']}", stage["parameters_sha256"], found)


def _run_faults(case: Audited) -> Iterator[Fault]:
    """Parameters of the runs in MLflow, which keeps them as text."""
    import mlflow
    from mlflow.exceptions import MlflowException

    known = case.record["configuration"]["parameters"]
    for run_id in sorted({stage["run_id"] for stage in case.record["stages"]} - {UNKNOWN}):
        try:
            stated = mlflow.MlflowClient().get_run(run_id).data.params
        except MlflowException:
            yield Fault(f"run {run_id}", "in MLflow", MISSING)
            continue
        read = [s for s in case.record["stages"] if s["run_id"] == run_id]
        names = {n for stage in read for n in stage["parameters"] if stage["parameters"] != UNKNOWN}
        for name, value in flat("", {n: known[n] for n in names}).items():
            if name in stated and not _same(value, stated[name]):
                yield Fault(f"run {run_id}: {name}", str(value), stated[name])


def _same(value: Any, text: str) -> bool:
    try:
        return bool(ast.literal_eval(text) == value) or text == str(value)
    except (ValueError, SyntaxError):
        return text == str(value)


def _conf_now(case: Audited) -> dict[str, Any]:
    """The same parameters as conf decides them: of the project, or of an earlier version's code."""
    if case.stands:
        return _conf_of(case.project / "conf", case)
    code, run = case.record["code"], case.record["model"]["recorded_by_run"]
    diff = diff_of(run, code)
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        if diff is None or not check_out(case.project, code["commit"], diff, clone):
            return {}
        return _conf_of(clone / "conf", case)


def _conf_of(conf: Path, case: Audited) -> dict[str, Any]:
    said = case.record["configuration"]
    try:
        now = flat("", open_conf(conf, said["environment"], said["overrides"])["parameters"])
    except Exception:  # what no longer loads gives no parameter at all
        return {}
    heads = tuple(said["parameters"])
    below = tuple(f"{head}." for head in heads)
    return {name: value for name, value in now.items() if name in heads or name.startswith(below)}


def check_lock(case: Audited) -> Row:
    """The lock file, in the project or of an earlier version's code; and the run's copy."""
    fact, said = "environment lock", case.record["lock"]["sha256"]
    if said == UNKNOWN:
        return unrecorded(fact, f"no {LOCK} was there")
    file, code = case.project / LOCK, case.record["code"]
    data = file.read_bytes() if file.is_file() else None
    if not case.stands and data is not None:
        data = file_at(case.project, code["commit"], LOCK) or data
    copy = artifact_of_run(case.record["model"]["recorded_by_run"], f"code/{LOCK}")
    faults = [
        Fault(what, said, found)
        for what, found in ((LOCK, _sha256(data)), (f"the run's copy of {LOCK}", _sha256(copy)))
        if found != said
    ]
    others = {stage["lock_sha256"] for stage in case.record["stages"]} - {said}
    faults += [Fault("lock of an earlier stage's run", said, other) for other in sorted(others)]
    return judged(fact, said, faults)


def check_machine(case: Audited) -> Row:
    """What the model was trained on; this machine may well be another, and is named beside."""
    from graft.adapters.lineage.machine import class_of, this_class

    said = case.record["machine"]
    if said == UNKNOWN or not class_of(said):
        return unrecorded("machine")
    missing = [name for name, value in class_of(said).items() if value == UNKNOWN]
    same = class_of(said) == this_class()
    note = "this machine is of the same class" if same else f"this machine: {this_class()}"
    return judged("machine", class_of(said), [Fault(n, UNKNOWN, MISSING) for n in missing], note)


def check_seeds(case: Audited) -> Row:
    """The seed on the card is the seed of the parameters."""
    seeds = case.record["seeds"]
    asked = seeds.get(f"{case.task}.seed", UNKNOWN)
    if UNKNOWN in (asked, seeds["card"]):
        return unrecorded("seeds")
    faults = [] if seeds["card"] == asked else [Fault("seed on the card", asked, seeds["card"])]
    return judged("seeds", seeds, faults)


def _sha256(data: bytes | None) -> str:
    return MISSING if data is None else hashlib.sha256(data).hexdigest()
