"""Adding to a store: bytes first, then the line that names them."""

import logging
import os
import zlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from graft.vision.records import Array
from graft.vision.store.index import Entry, line_of

if TYPE_CHECKING:
    from graft.vision.store.arrays import ArrayStore

log = logging.getLogger("graft")

SHARD_BYTES = 1 << 28
ALIGNED = 64
"""Bytes of which an array's place is a multiple, whatever its dtype."""
_LINES = 256
"""Arrays that become visible at once."""


class Writer:
    """Adds arrays to a store. Made by `ArrayStore.writer`."""

    def __init__(self, store: "ArrayStore") -> None:
        self._store = store
        # By what lies there and not by what is named: a number that was pruned is not used again.
        self._shard = max((int(path.stem) for path in store.root.glob("[0-9]*.*")), default=0)
        self._bin: IO[bytes] | None = None
        self._lines: list[tuple[str, Entry]] = []
        self._pending: set[str] = set()
        self._mended = 0

    def add(self, key: str, array: Array, meta: dict[str, Any] | None = None) -> None:
        """Append one array under its key; a key already there is left as it is, unless its array
        was found damaged."""
        damaged = self._store.is_damaged(key)
        if (key in self._store and not damaged) or key in self._pending:
            return
        self._mended += damaged
        self.put(key, array, meta)

    def put(self, key: str, array: Array, meta: dict[str, Any] | None = None) -> None:
        """Append one array under its key, in place of one that is there."""
        self._pending.add(key)
        data = np.ascontiguousarray(array)
        raw = data.reshape(-1).view(np.uint8) if data.size else np.zeros(0, np.uint8)
        out = self._open()
        entry = Entry(
            self._shard, out.tell(), data.shape, data.dtype.str, zlib.crc32(raw.data), meta or {}
        )
        out.write(raw.data)
        self._lines.append((key, entry))
        if len(self._lines) >= _LINES:
            self.flush()

    def next_shard(self) -> None:
        """Go on in a shard of its own, which is there from now on."""
        self.close()
        self._shard += 1
        self._append(self._shard, [])

    def flush(self) -> None:
        """Make everything added so far visible to readers."""
        if self._bin is None:
            return
        self._bin.flush()
        os.fsync(self._bin.fileno())
        self._append(self._shard, [line_of(key, entry) for key, entry in self._lines])
        for key, entry in self._lines:
            self._store.take(key, entry)
        self._lines.clear()
        self._pending.clear()

    def close(self) -> None:
        """Flush and let go of the shard, also where flushing fails."""
        try:
            self.flush()
        finally:
            if self._bin is not None:
                with suppress(OSError):  # only what flush has just failed to write
                    self._bin.close()
                self._bin = None
        if self._mended:
            log.warning("%s: %d damaged arrays were made again", self._store.root, self._mended)
            self._mended = 0

    def _append(self, shard: int, lines: list[bytes]) -> None:
        with self._store.index_file(shard).open("ab+") as out:
            if out.tell():
                out.seek(-1, os.SEEK_END)
                if out.read(1) != b"\n":  # a crash cut the last line short
                    out.write(b"\n")
            out.writelines(lines)

    def _open(self) -> IO[bytes]:
        if self._bin is not None and self._bin.tell() >= SHARD_BYTES:
            self.next_shard()
        if self._bin is None:
            self._bin = self._store.shard_file(self._shard).open("ab")
            self._bin.seek(0, os.SEEK_END)
        self._bin.write(b"\0" * (-self._bin.tell() % ALIGNED))
        return self._bin
