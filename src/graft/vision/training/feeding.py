"""Batches made by processes, for a device that trains faster than threads can augment.

Threads share one interpreter and wait for each other; processes do not. What a sample gets depends
on seed, epoch and id alone, so it is the same whoever makes it. Where processes cannot be had,
threads do the work, and that is said.
"""

import logging
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from graft.vision.training.batches import AugmentedSamples, TrainingBatches
from graft.vision.training.processes import AHEAD, Processes

log = logging.getLogger("graft")

MOST_WORKERS = 16
WORTH_IT = 20_000
"""Views in a training for which processes are started unasked: that takes some six seconds, in
which threads make nearly so many."""
SHARED = Path("/dev/shm")
"""Where batches pass from process to process; small in many containers."""


def worker_count(asked: int | None) -> int:
    """How many augment for a GPU: one core is left to the steps themselves."""
    if asked is not None:
        return asked
    return max(1, min(MOST_WORKERS, len(os.sched_getaffinity(0)) - 1))


@contextmanager
def fed(name: str, batches: TrainingBatches, device: str, epochs: int) -> Iterator[None]:
    """Within, processes make these batches where the device is a GPU; they end with it.

    ``name``: of the training, as its log says it. A short one is fed by as many threads, unless a
    number of workers is asked for.
    """
    if device != "cuda":
        yield
        return
    asked, views = batches.workers, epochs * len(batches) * batches.size
    batches.workers = worker_count(asked)
    pays = asked is not None or views >= WORTH_IT
    processes = _processes(name, batches, batches.workers) if pays else None
    batches.made_by_processes = processes.made if processes else None
    try:
        yield
    finally:
        batches.workers, batches.made_by_processes = asked, None
        if processes:
            processes.close()


def _processes(name: str, batches: TrainingBatches, count: int) -> Processes | None:
    """None where nothing is gained by them, or, told, where they cannot be had."""
    if not count or not isinstance(batches.samples.make, AugmentedSamples):
        return None  # what is only read from a store needs no process
    try:
        if multiprocessing.current_process().daemon:
            raise RuntimeError("this process may have none of its own")
        shares = _have_room(name, batches, count)
        return Processes(batches.samples, count, pin=torch.cuda.is_available(), shares=shares)
    except Exception as error:  # each platform has its own ways to refuse
        found = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0][:160]
        log.warning("    %s: threads augment, for processes cannot: %s", name, found)
        return None


def _have_room(name: str, batches: TrainingBatches, count: int) -> bool:
    """Whether so many processes can share the memory that batches pass in."""
    if not SHARED.is_dir():
        return True
    needed = batches.example().nbytes * batches.size * (count * AHEAD + 1)
    free = shutil.disk_usage(SHARED).free
    if free < needed:
        said = "    %s: batches pass through pipes, which takes longer: %s has %d MiB of %d"
        log.info(said, name, SHARED, free >> 20, (needed >> 20) + 1)
    return free >= needed
