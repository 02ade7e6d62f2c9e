"""Run as a process: writes to a ledger, waits in its turn, or moves the champion and is killed.

``KILLED_AT`` is a point of `_kill_at` after ``before-`` or ``after-``. In ``rounds`` several
processes move at the same moment, when the file ``go-ROUND`` says which versions.

``python writing_process.py write FOLDER COUNT LEASE_S``
``python writing_process.py hold FOLDER LEASE_S``
``python writing_process.py move FOLDER ACTION VERSION EXPECTED [KILLED_AT]``
``python writing_process.py rounds FOLDER PLACE COUNT``
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.adapters.ledger import Ledger


def write(folder: str, count: str, lease_s: str) -> None:
    ledger = Ledger(Path(folder), "tiny", float(lease_s))
    for number in range(int(count)):
        with ledger.turn():
            ledger.write("refuse", str(number), reason=f"process {os.getpid()}")


def hold(folder: str, lease_s: str) -> None:
    with Ledger(Path(folder), "tiny", float(lease_s)).turn():
        print("holding", flush=True)
        time.sleep(600)


def move(folder: str, action: str, version: str, expected: str, killed_at: str = "") -> None:
    from graft.adapters.promotion import moving

    case = _open(folder)
    moving.settle(case)
    if killed_at:
        _kill_at(killed_at)
    done = moving.move(case, action, version, expected, {}, "a test", {})
    print("moved" if done else "superseded", flush=True)


def rounds(folder: str, place: str, count: str) -> None:
    from graft.adapters.promotion import moving

    case = _open(folder)
    print("ready", flush=True)
    for number in range(int(count)):
        while not (go := Path(folder, f"go-{number}")).exists():
            time.sleep(0.005)
        expected, *versions = go.read_text().split()
        version = versions[int(place) % len(versions)]
        done = moving.move(case, "promote", version, expected, {}, f"round {number}", {})
        print("moved" if done else "superseded", flush=True)


def _open(folder: str) -> Any:
    import mlflow
    from moved_models import case_in

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return case_in(Path(folder))


def _kill_at(point: str) -> None:
    import mlflow

    from graft.adapters.promotion import moving

    when, _, what = point.partition("-")
    owner, name = {
        "intent": (Ledger, "write"),
        "alias": (mlflow.MlflowClient, "set_registered_model_alias"),
        "outcome": (Ledger, "close"),
        "mirror": (moving, "mirror"),
        "copy": (mlflow.MlflowClient, "log_artifact"),  # while it is mirrored, as the next two
        "version": (mlflow.MlflowClient, "set_model_version_tag"),
        "head": (mlflow.MlflowClient, "set_registered_model_tag"),
    }[what]
    whole: Callable[..., Any] = getattr(owner, name)

    def killing(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            whole(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killing)


if __name__ == "__main__":
    {"write": write, "hold": hold, "move": move, "rounds": rounds}[sys.argv[1]](*sys.argv[2:])
