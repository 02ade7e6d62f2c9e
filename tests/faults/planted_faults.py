"""A Kedro hook that ends, stops or starves its process at a chosen place of a chosen node."""

import ctypes
import os
import resource
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from kedro.framework.hooks import hook_impl
from write_calls import OURS, WriteCalls

PLACES = ("inside", "write", "save", "after")
"""In what the node calls, in what it writes meanwhile into stores and checkpoints, in what its
outputs write, and when all of them are kept."""

LAYERS = ("02_intermediate", "03_primary", "04_feature", "06_models", "07_model_output",
          "08_reporting")  # fmt: skip
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
CLONE_NEWNS = 0x20000
"""Of Linux's mount and unshare."""


@dataclass(frozen=True)
class Fault:
    """What befalls a run.

    Attributes:
        node: its name with the task; empty where nothing befalls it.
        how: kill | term | term twice | full disk | read only | all read only.
        place: one of PLACES; a disk is full or closed from the node's start until its outputs are
            saved, whatever the place.
        at: the number of the call at which it happens.
    """

    node: str = ""
    how: str = "kill"
    place: str = "inside"
    at: int = 0


class FaultHook:
    """Counts the calls of graft in each node and those that write its outputs; plants a fault.

    Attributes:
        counts: of calls, by node and place.
    """

    def __init__(self, fault: Fault, writes: WriteCalls) -> None:
        self.fault, self.writes = fault, writes
        self.counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(PLACES, 0))
        self._saved = 0

    @hook_impl(trylast=True)
    def before_node_run(self, node: Any) -> None:
        """From here on the node's own calls are counted."""
        if self._is_met(node) and self.fault.how in DISKS:
            DISKS[self.fault.how]()
        self._called, self._saved = 0, 0
        self._count_writes(node, "write")
        if self.fault.place == "inside" and (self._is_met(node) or not self.fault.node):
            sys.settrace(self._trace(node))

    @hook_impl(tryfirst=True)
    def after_node_run(self, node: Any) -> None:
        """From here on its writes are counted."""
        sys.settrace(None)
        self.counts[node.name] |= {"inside": self._called, "write": self.writes.number}
        self._count_writes(node, "save")

    @hook_impl(tryfirst=True)
    def on_node_error(self) -> None:
        """What comes of a fault finds a disk as it was."""
        sys.settrace(None)
        self.writes.stop()
        set_file_size(resource.RLIM_INFINITY)

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """As `on_node_error`, which saving and loading do not reach."""
        self.on_node_error()

    @hook_impl(specname="after_dataset_saved", tryfirst=True)
    def give_room(self) -> None:
        """MLflow's store lies on another disk."""
        set_file_size(resource.RLIM_INFINITY)

    @hook_impl(trylast=True)
    def after_dataset_saved(self, node: Any) -> None:
        """With the last output the node is done."""
        self._saved += 1
        if self._saved == len(node.outputs):
            self.writes.stop()
            self.counts[node.name]["save"] = self.writes.number
            if self._is_met(node) and self.fault.place == "after":
                self._befall()
        elif self._is_met(node) and self.fault.how == "full disk":
            set_file_size(0)

    def _count_writes(self, node: Any, place: str) -> None:
        here = self._is_met(node) and self.fault.place == place
        self.writes.start(self.fault.at if here else 0, self._befall)

    def _is_met(self, node: Any) -> bool:
        return bool(node.name == self.fault.node)

    def _trace(self, node: Any) -> Callable[[FrameType, str, object], None]:
        here = self.fault.at if self._is_met(node) else 0

        def trace(frame: FrameType, event: str, argument: object) -> None:
            if OURS in frame.f_code.co_filename:
                self._called += 1
                if self._called == here:
                    sys.settrace(None)
                    self._befall()

        return trace

    def _befall(self, _: object = None) -> None:
        if self.fault.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault.how.startswith("term"):
            os.kill(os.getpid(), signal.SIGTERM)
        if self.fault.how == "term twice":
            os.kill(os.getpid(), signal.SIGTERM)


def set_file_size(most: int) -> None:
    """The kernel's own refusal to let a file grow beyond so many bytes, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def close_data(*layers: str) -> None:
    """These folders of data may only be read from now on, by this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    mount_in(libc, b"/", MS_REC | MS_PRIVATE, own=True)
    for layer in layers:
        folder = Path("data", layer).resolve()
        folder.mkdir(exist_ok=True)
        for flags in (MS_BIND, MS_BIND | MS_REMOUNT | MS_RDONLY):
            mount_in(libc, os.fsencode(folder), flags)


def mount_in(libc: ctypes.CDLL, folder: bytes, flags: int, own: bool = False) -> None:
    """Mount a folder on itself. Raises `RuntimeError` where a process may not."""
    if (own and libc.unshare(CLONE_NEWNS)) or libc.mount(folder, folder, None, flags, None):
        raise RuntimeError(f"no mount: {os.strerror(ctypes.get_errno())}")


DISKS = {"full disk": lambda: set_file_size(0), "read only": lambda: close_data(*LAYERS),
         "all read only": lambda: close_data("")}  # fmt: skip
