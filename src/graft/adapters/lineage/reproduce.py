"""A version run again from its record, in a clean checkout, and compared stage by stage."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.machine import class_of
from graft.adapters.lineage.outputs import content_of_output
from graft.adapters.lineage.rerun import lay_out, run_again

TOLERANCE = 0.02
"""By which a score may differ on a machine of another class: there, sums come in another order."""
SAME, DIFFERENT, CLOSE = "identical", "differs", "within the tolerance"
MACHINE = (
    "import json; from graft.vision.runtime import machine_record; "
    "print(json.dumps(machine_record()))"
)


def reproduce(
    project: Path, record: Mapping[str, Any], overrides: Mapping[str, Any], say: Any
) -> dict[str, Any]:
    """Run a record's code with its parameters on its data, with stores that hold nothing yet.

    Args:
        overrides: parameters to change, by full name, to see which stage they change first.
        say: called with the lines that the run says.

    Returns:
        ``result``: identical, differs, or within the tolerance (another machine class only);
        ``stage``: the first that differs; ``stages``; ``same_class``; both machine classes;
        ``scores``: as recorded and found.

    Raises:
        DataError: where the record, its code or its data is not enough to run it again.
    """
    with TemporaryDirectory(prefix="graft-again-") as folder:
        clone = Path(folder) / "project"
        lay_out(project, record, overrides, clone)
        run_again(clone, record, say)
        return _compare(clone, record)


def reproduction_text(found: Mapping[str, Any]) -> str:
    """The comparison as plain text."""
    lines = []
    for stage in found["stages"]:
        lines.append(f"  {stage['result']:10} {stage['stage']}")
        lines += [f"             {each['output']}: {each['path']}" for each in stage["different"]]
    if not found["same_class"]:
        lines.append("  other class: compared by tolerance")
        lines.append(f"    recorded: {found['machine_recorded']}")
        lines.append(f"    here:     {found['machine_here']}")
    lines += [
        f"  score      {score['name']}: {score['recorded']} recorded, {score['found']} found"
        for score in found["scores"]
    ]
    first = f"; the first stage that differs: {found['stage']}" if found["stage"] else ""
    return "\n".join([*lines, "", f"{found['result']}{first}"])


def _compare(clone: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    stages = [_compare_stage(clone, stage) for stage in record["stages"]]
    first = next((stage["stage"] for stage in stages if stage["result"] == DIFFERENT), None)
    here, recorded = _class_here(clone), class_of(record["machine"])
    scores = _scores(clone, record)
    close = all(_is_close(score["recorded"], score["found"]) for score in scores)
    result = SAME if first is None else DIFFERENT
    if first is not None and here != recorded and close:
        result = CLOSE
    return {
        "model": record["model"]["name"],
        "version": record["model"]["version"],
        "result": result,
        "stage": first,
        "same_class": here == recorded,
        "machine_recorded": recorded,
        "machine_here": here,
        "tolerance": TOLERANCE,
        "scores": scores,
        "stages": stages,
    }


def _compare_stage(clone: Path, stage: Mapping[str, Any]) -> dict[str, Any]:
    different = [
        {"output": name, "path": output["path"], "expected": output["content_sha256"], "found": now}
        for name, output in stage["outputs"].items()
        if (now := content_of_output(clone / output["path"])) != output["content_sha256"]
    ]
    result = DIFFERENT if different else SAME
    return {"stage": stage["stage"], "result": result, "different": different}


def _class_here(clone: Path) -> dict[str, str]:
    """Of the process that ran again; its environment is this one's."""
    environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(
        [sys.executable, "-c", MACHINE], env=environment, capture_output=True, text=True
    )
    return class_of(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {}


def _scores(clone: Path, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    outputs = {n: o for stage in record["stages"] for n, o in stage["outputs"].items()}
    if record["metrics"] == UNKNOWN or "test_metrics" not in outputs:
        return []
    found = json.loads((clone / outputs["test_metrics"]["path"]).read_text())
    return [
        {"name": n, "recorded": s["value"], "found": found.get(n, {}).get("value", UNKNOWN)}
        for n, s in record["metrics"]["scores"].items()
    ]


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE
    return bool(one == other)
