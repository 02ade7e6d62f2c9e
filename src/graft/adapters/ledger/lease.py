"""One writer at a time, also across machines that share a folder; a dead one's turn expires."""

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graft.adapters.atomic import blaming
from graft.vision.errors import GraftError

LEASE_S = 30.0
"""A turn is for moments of writing; who died in it holds the others up for this long."""
PATIENCE_S = 120.0
PAUSE_S = 0.05


class LeaseError(GraftError):
    """The turn could not be had, or was lost meanwhile."""


class Lease:
    """A turn to write, kept in a file: who has it, and until when.

    The file itself is read and changed under a lock of the system's, which holds for microseconds
    and ends with its process; the turn may last, and ends by the clock.
    """

    def __init__(self, path: Path, lease_s: float = LEASE_S, patience_s: float = PATIENCE_S):
        self.path, self.lease_s, self.patience_s = path, lease_s, patience_s
        self._token = ""

    @contextmanager
    def held(self) -> Iterator["Lease"]:
        """Wait for the turn and keep it for the block. Raises `LeaseError` when none comes."""
        self._acquire()
        try:
            yield self
        finally:
            self._release()

    @contextmanager
    def certain(self) -> Iterator[None]:
        """For the moment of a write: the turn is still this holder's, and is prolonged."""
        with self._guarded():
            if self._read().get("token") != self._token:
                raise LeaseError(
                    f"the turn to write beside {self.path} expired and another has taken it",
                    mend="run the command again; what was begun is completed or undone by it",
                )
            self._write()
            yield

    def _acquire(self) -> None:
        self._token = uuid.uuid4().hex
        until = time.monotonic() + self.patience_s
        while not self._take():
            if time.monotonic() > until:
                raise LeaseError(
                    f"the turn to write did not come within {self.patience_s:g} s",
                    found=f"held by {self._read().get('holder')}",
                    mend="wait for it to end, and run the command again",
                )
            time.sleep(PAUSE_S)

    def _take(self) -> bool:
        with self._guarded():
            if time.time() < float(self._read().get("expires", 0)):
                return False
            self._write()
            return True

    def _release(self) -> None:
        with self._guarded():
            if self._read().get("token") == self._token:
                self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.path.read_text()))
        except (OSError, ValueError):  # absent, or its writer was killed while it wrote
            return {}

    def _write(self) -> None:
        holder = f"{socket.gethostname()} process {os.getpid()}"
        expires = time.time() + self.lease_s
        record = {"token": self._token, "holder": holder, "expires": expires}
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text(json.dumps(record))
        part.replace(self.path)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with blaming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(f".{self.path.name}.guard").open("w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                yield
