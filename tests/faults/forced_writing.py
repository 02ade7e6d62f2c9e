"""Writes with a fault at each call that changes a file, and tells what stood there afterwards.

    python forced_writing.py MODULE SCRATCH MOST

A process of its own that has no threads, so that each kill befalls a fork of it. At most MOST calls
meet a fault, in even steps. Reads the name of a writer per line, and answers with one line of JSON:
the functions that ran, and each trial.
"""

import contextlib
import errno
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from planted_faults import set_file_size
from write_calls import OURS, WriteCalls, sites_in
from writers import Writer, draw_sources

from graft.adapters.faults import readable

SHARES = (0.0, 0.5, 0.99)
"""Of the largest file: how far it may grow."""
CALLS = WriteCalls()
Trial = dict[str, Any]


def trials_of(writer: Writer, most: int) -> Iterator[Trial]:
    """Every fault at every call, before each value that may stand there."""
    for before in writer.before:
        folder = lay(writer, before)
        CALLS.start()
        sys.settrace(run_through)
        writer.put(folder, 2)
        sys.settrace(None)
        CALLS.stop()
        count, largest = CALLS.number, max(sizes(folder), default=0)
        names = names_in(folder)
        whole = {"before": before, "calls": count, "names": names, "read": writer.read(folder)}
        yield {**whole, "fault": "none"}
        most = min(most, writer.most)
        for at in sorted({1 + round(i * (count - 1) / most) for i in range(most + 1)}):
            for fault in (killed_at, failing_at):
                yield {**tried(writer, before, fault, at), "names_whole": names}
        for share in SHARES if largest else ():
            for fault in (cut_off, full_disk):
                yield {**tried(writer, before, fault, int(share * largest)), "names_whole": names}


def run_through(frame: FrameType, event: str, argument: object) -> None:
    """Functions of graft in which libraries open and write files unheard."""
    if OURS in frame.f_code.co_filename:
        CALLS.sites.update(sites_in(frame))


def tried(writer: Writer, before: int, fault: Callable[..., str], at: int) -> Trial:
    """One fault, then what stands there, then the same again without one."""
    folder = lay(writer, before)
    ended = fault(writer, folder, at)
    found: Trial = {"before": before, "fault": fault.__name__, "at": at, "ended": ended}
    try:
        found["read"] = writer.read(folder)
        CALLS.start()  # what sweeps is met now
        writer.put(folder, 2)
        CALLS.stop()
        found["again"], found["names"] = writer.read(folder), names_in(folder)
    except Exception:
        found["broken"] = traceback.format_exc()[-1500:]
    return found


def lay(writer: Writer, before: int) -> Path:
    folder = Path("written").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if before:
        writer.put(folder, before)
    return folder


def killed_at(writer: Writer, folder: Path, at: int) -> str:
    """SIGKILL just before a call."""
    return in_fork(
        lambda: CALLS.start(at, lambda _: os.kill(os.getpid(), signal.SIGKILL)), writer, folder
    )


def cut_off(writer: Writer, folder: Path, at: int) -> str:
    """The kernel ends the process in the middle of a write, at this byte of the file."""

    def arm() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        set_file_size(at)

    return in_fork(arm, writer, folder)


def failing_at(writer: Writer, folder: Path, at: int) -> str:
    """A call fails, as on a full disk."""

    def fail(path: str | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    CALLS.start(at, fail)
    return failed(writer, folder)


def full_disk(writer: Writer, folder: Path, at: int) -> str:
    """No file grows beyond so many bytes."""
    set_file_size(at)
    return failed(writer, folder)


def failed(writer: Writer, folder: Path) -> str:
    """The message that a user would read; nothing where the writer did without."""
    try:
        writer.put(folder, 2)
    except Exception as error:
        set_file_size(resource.RLIM_INFINITY)
        return readable(error) or traceback.format_exc()[-1500:]
    finally:
        CALLS.stop()
        set_file_size(resource.RLIM_INFINITY)
    return ""


def in_fork(arm: Callable[[], None], writer: Writer, folder: Path) -> str:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            arm()
            writer.put(folder, 2)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return signal.Signals(-code).name if code < 0 else "exit"


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def main(module: str, scratch: Path, most: int) -> None:
    writers = importlib.import_module(module).WRITERS
    os.chdir(scratch)
    draw_sources()
    gc.freeze()  # a fork need not copy what is never collected
    for line in sys.stdin:
        CALLS.sites = set()
        trials = list(trials_of(writers[line.strip()], most))
        print(json.dumps({"trials": trials, "sites": sorted(CALLS.sites)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
