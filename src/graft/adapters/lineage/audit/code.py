"""Code and its uncommitted part: Git is asked whether both give the tree that ran."""

import hashlib
from collections.abc import Iterator
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.rows import MISSING, Fault, Row, judged
from graft.adapters.lineage.reading import artifact_of_run
from graft.adapters.tracking.tree import NO_DIFF, commit_exists, rebuilt_tree

DIFF = "code/uncommitted.diff"


def codes_of(record: dict[str, Any]) -> list[tuple[str, str, dict[str, str]]]:
    """Each code that ran on the way to the model: stage, run and facts, equal ones once."""
    found = [("registration", record["model"]["recorded_by_run"], record["code"])]
    found += [(stage["stage"], stage["run_id"], stage["code"]) for stage in record["stages"]]
    return list({str(code): (stage, run, code) for stage, run, code in reversed(found)}.values())


def diff_of(run_id: str, code: dict[str, str]) -> str | None:
    """The recorded difference; None where no copy has its digest."""
    if code["diff_sha256"] == NO_DIFF:
        return ""
    data = artifact_of_run(run_id, DIFF)
    if data is None or hashlib.sha256(data).hexdigest() != code["diff_sha256"]:
        return None
    return data.decode()


def check_commit(case: Audited) -> Row:
    """Git holds every commit that ran."""
    faults = [
        Fault(f"commit of {stage}", code["commit"], MISSING)
        for stage, _, code in codes_of(case.record)
        if code["commit"] == UNKNOWN or not commit_exists(case.project, code["commit"])
    ]
    return judged("code commit", case.record["code"]["commit"], faults)


def check_diff(case: Audited) -> Row:
    """Commit and recorded difference give, on a clean checkout, the tree that ran."""
    faults = [
        fault
        for stage, run, code in codes_of(case.record)
        for fault in _tree(case, stage, run, code)
    ]
    left = case.record["code"]["diff_sha256"]
    note = "nothing was uncommitted" if left == NO_DIFF else "applied on a clean checkout"
    return judged("uncommitted diff", left, faults, note)


def _tree(case: Audited, stage: str, run: str, code: dict[str, str]) -> Iterator[Fault]:
    if UNKNOWN in (code["tree"], code["diff_sha256"], code["commit"]):
        yield Fault(f"tree of {stage}", UNKNOWN, "not recorded")
        return
    diff = diff_of(run, code)
    if diff is None:
        yield Fault(f"{DIFF} of {stage}'s run", code["diff_sha256"], "missing or altered")
        return
    found = rebuilt_tree(case.project, code["commit"], diff) or "cannot be rebuilt"
    if found != code["tree"]:
        yield Fault(f"tree of {stage}", code["tree"], found)
