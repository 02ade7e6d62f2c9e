"""`kedro` as a process that is warm: each command runs in a fork of it, with a fault planted.

    python warm_kedro.py FOLDER

Reads one JSON list per line: a fault's four values and the command's arguments; answers with one
line of JSON: the exit code, what was said, the counts of `planted_faults.FaultHook`, the functions
that changed files, and the processor's time.
"""

import atexit
import importlib
import json
import os
import sys
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from planted_faults import Fault, FaultHook
from write_calls import WriteCalls

MODULES = (
    "kedro.framework.cli.cli", "albumentations", "timm", "torch", "sklearn.linear_model",
    "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip


def warm_up() -> None:
    """Import most of what a run imports, and read its code, which stands still; start no thread."""
    import torch

    from graft.vision import imports

    for name in MODULES:
        importlib.import_module(name)
    imports.imported_names = cache(lambda file, read=imports.imported_names: [*read(file)])
    for task in ("classification", "detection", "segmentation"):
        importlib.import_module("graft.adapters.lineage.outputs").making_code(task)
    torch.set_num_threads(1)


def run(arguments: list[str], fault: Fault, counted: Path) -> None:
    """`kedro ARGUMENTS` in this process, which ends with it."""
    from kedro.framework.cli.cli import main

    import graft.settings

    hook = FaultHook(fault, WriteCalls())
    hook.writes.start()
    graft.settings.HOOKS = (*graft.settings.HOOKS, hook)
    sys.argv, code = ["kedro", *arguments], 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    found = {"counts": hook.counts, "modules": [*sys.modules], "sites": sorted(hook.writes.sites)}
    counted.write_text(json.dumps(found))
    # As at the end of any process, but for taking so many modules down, which takes seconds.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def forked(folder: Path, arguments: list[str], fault: Fault) -> dict[str, Any]:
    """One command in a process of its own; its exit code is negative where a signal ended it."""
    counted = folder / "counted.json"
    counted.unlink(missing_ok=True)
    reading, writing = os.pipe()  # which no limit on the size of files concerns
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(writing)
        run(arguments, fault, counted)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as said_by_child:
        said = said_by_child.read()
    _, status, used = os.wait4(child, 0)
    found = json.loads(counted.read_text()) if counted.exists() else {}
    for name in set(found.get("modules", [])) - set(sys.modules):  # the next is warmer
        with suppress(ImportError):
            importlib.import_module(name)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "said": said,
        "counts": found.get("counts", {}),
        "sites": found.get("sites", []),
        "cpu_s": used.ru_utime + used.ru_stime,
    }


def main(folder: Path) -> None:
    warm_up()
    for line in sys.stdin:
        fault, *arguments = json.loads(line)
        print(json.dumps(forked(folder, arguments, Fault(*fault))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
