"""Run as a process: writes to a ledger, waits in its turn, or moves the champion and is killed.

``python writing_process.py write FOLDER COUNT LEASE_S``
``python writing_process.py hold FOLDER LEASE_S``
``python writing_process.py move FOLDER VERSION EXPECTED [KILLED_AT]``
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


def move(folder: str, version: str, expected: str, killed_at: str = "") -> None:
    import mlflow
    from moved_models import case_in

    from graft.adapters.promotion import moving

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    standing = None if expected == "none" else expected
    case = case_in(Path(folder))
    moving.settle(case)
    if killed_at:
        _kill_at(killed_at)
    done = moving.move(case, "promote", version, standing, {}, "a test", {})
    print("moved" if done else "superseded", flush=True)


def _kill_at(point: str) -> None:
    """``before-X`` or ``after-X`` of: intent, alias, outcome, mirror."""
    import mlflow

    from graft.adapters.promotion import moving

    when, _, what = point.partition("-")
    owner, name = {
        "intent": (Ledger, "write"),
        "alias": (mlflow.MlflowClient, "set_registered_model_alias"),
        "outcome": (Ledger, "close"),
        "mirror": (moving, "mirror"),
    }[what]
    whole: Callable[..., Any] = getattr(owner, name)

    def killing(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            whole(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killing)


if __name__ == "__main__":
    {"write": write, "hold": hold, "move": move}[sys.argv[1]](*sys.argv[2:])
