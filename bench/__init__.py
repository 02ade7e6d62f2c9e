"""What things cost, side by side with the usual way: ``python -m bench [NAME...]``."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Say = Callable[[str], None]
Measure = dict[str, Any]
RAW = Path(__file__).parent.parent / "data" / "01_raw"
PHOTOGRAPHS = Path(os.environ.get("GRAFT_REAL_DATA", RAW)) / "hymenoptera"

# One thread per process where libraries would take all cores: CPU seconds are then comparable.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def row(
    ours: float, usual: float | None, unit: str, what: str, *, more_is_better: bool = False
) -> Measure:
    """A measure; the ratio says how many times better ours is, null where nothing is compared."""
    ratio = None if usual is None else ours / usual if more_is_better else usual / ours
    return {"ours": ours, "usual": usual, "ratio": ratio, "unit": unit, "what": what}


def measure(name: str) -> dict[str, Measure]:
    """Run one bench here. In no ``__main__``, so that a process that is spawned finds it.

    By one thread on one core, where the bench is not of more: two threads that share what computes
    each count the time in which the other does.
    """
    if name != "all_cores":
        os.environ.update(ONE_THREAD)  # before libraries are loaded, which ask once
    if name not in ("all_cores", "gpu") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found: dict[str, Measure] = import_module(f"bench.{name}").measure(_say)
    return found


def _say(text: str) -> None:
    print(text, flush=True)
