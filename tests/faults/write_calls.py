"""Counts the calls by which a process changes the file system, and acts just before one of them."""

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

Act = Callable[[str | None], object]
"""Is given the file that is to be changed, where the call names one."""
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
"""Audit events of Python; opening for writing is told by its flags."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
OURS = f"{os.sep}src{os.sep}graft{os.sep}"


class WriteCalls:
    """Counts from `start` to `stop`: opening for writing, renaming, removing, making folders and
    links, cutting, writing without a buffer, and bringing to disk. What an import writes is left
    out (its byte code, a library's folder of settings): only the first process does so.

    Attributes:
        number: calls since the start.
        sites: ``module:function`` of each function of graft that such a call came from.
    """

    def __init__(self) -> None:
        self.number, self.sites, self._at, self._act = 0, set[str](), 0, None
        self._counting = False
        sys.addaudithook(self._heard)
        for name in ("fsync", "write"):
            setattr(os, name, self._told_of(getattr(os, name)))

    def start(self, at: int = 0, act: Act | None = None) -> None:
        """Count; just before call ``at``, counted from 1, ``act`` is called."""
        self.number, self._at, self._act, self._counting = 0, at, act, True

    def stop(self) -> None:
        """Count no more."""
        self._counting = False

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._counting and (event in CHANGES or (event == "open" and _is_writing(*arguments))):
            self._meet(arguments[0])

    def _told_of(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def told(handle: int, *arguments: Any) -> Any:
            if self._counting and handle > 2:
                self._meet(None)
            return call(handle, *arguments)

        return told

    def _meet(self, path: object) -> None:
        if _is_importing(sys._getframe(1)):
            return
        self.number += 1
        self.sites.update(sites_in(sys._getframe(1)))
        if self.number == self._at and self._act is not None:
            self._act(os.fsdecode(path) if isinstance(path, str | bytes) else None)


def _is_writing(path: object, mode: object, flags: object) -> bool:
    named = isinstance(path, str | bytes) and not os.fsdecode(path).startswith(("/dev/", "/proc/"))
    return named and isinstance(flags, int) and bool(flags & WRITING)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def sites_in(frame: FrameType | None) -> set[str]:
    """``module:function`` of each function of graft on the stack."""
    found = set()
    while frame is not None:
        code = frame.f_code
        if OURS in code.co_filename:
            name = code.co_qualname.replace(".<locals>", "")
            found.add(f"{frame.f_globals['__name__']}:{name}")
        frame = frame.f_back
    return found
