"""Runs whose process died without a word: no exception, no signal that it could hear."""

import os
import socket
from pathlib import Path
from typing import Any

PROCESS = "process"
"""The tag of a run that names its process."""
ENDED = "ZX"
"""States of a process that has ended and that nobody has asked about yet."""
WITHOUT_A_WORD = "its process ended without a word"


def this_process() -> str:
    """Host, process namespace, number and start time: no other process is ever called so."""
    return _named(os.getpid()) or "unknown"


def end_dead_runs(client: Any, experiment: str) -> list[str]:
    """Record as KILLED what still reads RUNNING though its process on this host is gone.

    Returns the ids of those runs. Runs of other hosts are left alone: who knows.
    """
    found = client.get_experiment_by_name(experiment)
    running = client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'")
    dead = [run.info.run_id for run in running if is_dead(run.data.tags.get(PROCESS, ""))]
    for run_id in dead:
        client.set_tag(run_id, "error", WITHOUT_A_WORD)
        end_unfinished_models(client, run_id)
        client.set_terminated(run_id, "KILLED")
    return dead


def end_unfinished_models(client: Any, run_id: str) -> None:
    """Record as FAILED each model whose files a run was still bringing when it ended."""
    experiment = client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if model.status == "PENDING":
            client.finalize_logged_model(model.model_id, "FAILED")


def is_dead(process: str) -> bool:
    """Whether a process of this host is gone; of another one that cannot be told."""
    place, _, rest = process.rpartition("#")
    here, _, _ = this_process().rpartition("#")
    number = rest.partition("@")[0]
    return bool(place) and place == here and _named(int(number)) != process


def _named(number: int) -> str | None:
    """``HOST/NAMESPACE#NUMBER@START``; None for a process that is gone, or where Linux is not."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink()
        # Names may hold blanks and brackets; state and start time are the first field after them
        # and the 20th.
        state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    start = fields[18]
    if state in ENDED:
        return None
    return f"{socket.gethostname()}/{namespace}#{number}@{start}"
