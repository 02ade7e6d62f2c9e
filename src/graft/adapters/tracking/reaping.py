"""Runs whose process died without a word: no exception, no signal that it could hear."""

import os
import socket
from pathlib import Path
from typing import Any

PROCESS = "process"
"""The tag of a run that names its process."""


def this_process() -> str:
    """Host, process namespace, number and start time: no other process is ever called so."""
    return _named(os.getpid()) or "unknown"


def end_dead_runs(client: Any, experiment: str) -> list[str]:
    """Record as KILLED what still reads RUNNING though its process on this host is gone.

    Returns the ids of those runs. Runs of other hosts are left alone: who knows.
    """
    found = client.get_experiment_by_name(experiment)
    running = client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'")
    dead = [run.info.run_id for run in running if _is_dead(run.data.tags.get(PROCESS, ""))]
    for run_id in dead:
        client.set_tag(run_id, "error", "its process ended without a word")
        client.set_terminated(run_id, "KILLED")
    return dead


def _is_dead(process: str) -> bool:
    place, _, rest = process.rpartition("#")
    here, _, _ = this_process().rpartition("#")
    number = rest.partition("@")[0]
    return bool(place) and place == here and _named(int(number)) != process


def _named(number: int) -> str | None:
    """``HOST/NAMESPACE#NUMBER@START``; None for a process that is gone, or where Linux is not."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink()
        # Names may hold blanks and brackets; the start time is the 20th field after them.
        start = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
    return f"{socket.gethostname()}/{namespace}#{number}@{start}"
