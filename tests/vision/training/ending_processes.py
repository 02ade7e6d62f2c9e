"""Samples that end badly, and processes that make batches while a parent is ended; by name here,
since they go to other processes."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.vision.records import Array, Truth
from graft.vision.training.batches import Asked, SampleMaker
from graft.vision.training.processes import Processes

IDS = [f"{place}.png" for place in range(8)]
BAD = 5


@dataclass(frozen=True)
class Plain:
    """Blank views; at one place the maker ends as ``fate`` says."""

    fate: str = "none"

    def __call__(self, place: int, epoch: int) -> tuple[Array, Truth]:
        if place == BAD and self.fate == "raises":
            raise ValueError("three is no number of channels")
        if place == BAD and self.fate == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((4, 4, 3), place, np.uint8), {"targets": np.ones(2, np.float32)}


def processes_of(fate: str, count: int = 2) -> Processes:
    return Processes(SampleMaker(Plain(fate), IDS), count, pin=False)


def pids_of(processes: Processes) -> list[int]:
    return [int(pid) for pid in processes._at[:, 0]]


def is_alive(pid: int) -> bool:
    """Also where nobody has asked yet how it ended it is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(pids: list[int], within_s: float = 20) -> bool:
    until = time.monotonic() + within_s
    while any(is_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(is_alive(pid) for pid in pids)


def main() -> None:
    """Say who works, and wait to be ended."""
    processes = processes_of("none")
    next(processes.made([Asked(0, tuple(range(4)))] * 64))
    print(*pids_of(processes), file=sys.stdout, flush=True)
    time.sleep(120)


if __name__ == "__main__":
    main()
