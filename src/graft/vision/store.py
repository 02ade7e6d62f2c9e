"""A content-addressed store of arrays: sharded, memory-mapped, many readers and one writer.

A shard is ``NNNNNN.bin`` (raw array bytes, appended) beside ``NNNNNN.index`` (one line per array:
the line's own checksum, then JSON with key, offset, shape, dtype, crc32, meta). Bytes are on disk
before their index line is, so a crash or a full disk leaves at most bytes that no line names; a
line that is torn or damaged is passed over, and what it named is made again. The checksum of an
array is compared at its first read in a process, so a flipped bit is named and never returned.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from graft.vision.errors import StoreError
from graft.vision.records import Array

SHARD_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one array lies and what is known of it."""

    shard: int
    offset: int
    shape: tuple[int, ...]
    dtype: str
    crc32: int
    meta: dict[str, Any]

    @property
    def bytes(self) -> int:
        """Length of the array in the shard."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass
class ArrayStore:
    """Arrays by key below ``folder / namespace``.

    Args:
        folder: the store's root; made when first written to.
        namespace: says how the arrays were made, e.g. a digest of the rule; other rules, other
            namespace, so nothing stale can be read.
    """

    folder: Path
    namespace: str
    _index: dict[str, Entry] = field(default_factory=dict, init=False, repr=False)
    _maps: dict[int, Array] = field(default_factory=dict, init=False, repr=False)
    _checked: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.root = Path(self.folder) / self.namespace
        self.refresh()

    def refresh(self) -> None:
        """Read the index again, to see what a writer has added since."""
        self._index.clear()
        self._maps.clear()
        for path in sorted(self.root.glob("*.index")):
            self._read_index(path)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self._index)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys that the store lacks, each once, in the order given."""
        return [key for key in dict.fromkeys(keys) if key not in self._index]

    def meta(self, key: str) -> dict[str, Any]:
        """What the writer noted beside the array."""
        return self._entry(key).meta

    def read(self, key: str) -> Array:
        """The array, read-only and memory-mapped. Raises `StoreError` when it is damaged."""
        entry = self._entry(key)
        end = entry.offset + entry.bytes
        shard = self._map(entry.shard, end)
        raw = shard[entry.offset : end]
        if key not in self._checked:
            if len(raw) != entry.bytes or zlib.crc32(raw.data) != entry.crc32:
                raise StoreError(
                    f"array {key} in {self._bin(entry.shard)} is damaged",
                    found="a checksum that differs from the index",
                    mend=f"delete {self.root}; the next whole run makes it again from the images",
                )
            self._checked.add(key)
        return raw.view(entry.dtype).reshape(entry.shape)

    @contextmanager
    def writer(self) -> Iterator["Writer"]:
        """Hold the store's one write lock and yield what adds arrays; waits for other writers.

        Raises `OSError` where the disk is full or may not be written; what was flushed stays.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            try:
                with closing(Writer(self)) as writer:
                    yield writer
            except OSError as error:
                error.filename = error.filename or str(self.root)  # a write names no file
                raise

    def drop_damaged(self) -> list[str]:
        """Forget, for every reader, each key whose bytes differ from their checksum.

        Returns the keys, so that what they stood for can be made again.
        """
        with self.writer() as writer:
            damaged = [key for key in self._index if not self._is_whole(key)]
            for key in damaged:
                writer.drop(key)
        return damaged

    def _is_whole(self, key: str) -> bool:
        try:
            self.read(key)
        except StoreError:
            return False
        return True

    def _entry(self, key: str) -> Entry:
        try:
            return self._index[key]
        except KeyError:
            raise StoreError(
                f"array {key} is not in {self.root}",
                mend="run the whole pipeline again; it adds what is missing",
            ) from None

    def _bin(self, shard: int) -> Path:
        return self.root / f"{shard:06d}.bin"

    def _map(self, shard: int, end: int) -> Array:
        mapped = self._maps.get(shard)
        if mapped is None or len(mapped) < end:
            path = self._bin(shard)
            if not path.exists() or path.stat().st_size == 0:
                return np.zeros(0, np.uint8)
            mapped = self._maps[shard] = np.memmap(path, np.uint8, mode="r")
        return mapped

    def _read_index(self, path: Path) -> None:
        size = self._bin(int(path.stem)).stat().st_size if self._bin(int(path.stem)).exists() else 0
        for line in path.read_bytes().splitlines(keepends=True):
            row = _parse(line)
            if row is None:
                continue
            entry = _entry_of(row, int(path.stem))
            if entry is None:
                self._index.pop(row["key"], None)
            elif entry.offset + entry.bytes <= size:
                self._index[row["key"]] = entry

    def _add(self, key: str, entry: Entry) -> None:
        self._index[key] = entry
        self._checked.add(key)


def _line(row: dict[str, Any]) -> bytes:
    """An index line: eight hexadecimal digits of its CRC-32, a blank, JSON."""
    text = json.dumps(row).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return an index row, or None for a line that was cut short or has changed since."""
    checksum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text[:-1]):
        return None
    row: dict[str, Any] = json.loads(text)
    return row


def _entry_of(row: dict[str, Any], shard: int) -> Entry | None:
    """Return the entry of an index row, or None where the row drops its key."""
    if row.get("dropped"):
        return None
    return Entry(shard, row["offset"], tuple(row["shape"]), row["dtype"], row["crc32"], row["meta"])


class Writer:
    """Adds arrays to a store. Made by `ArrayStore.writer`."""

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self._shard = max((entry.shard for entry in store._index.values()), default=0)
        self._bin: IO[bytes] | None = None
        self._lines: list[tuple[str, Entry]] = []
        self._pending: set[str] = set()

    def add(self, key: str, array: Array, meta: dict[str, Any] | None = None) -> None:
        """Append one array under its key; a key already there is left as it is."""
        if key in self._store or key in self._pending:
            return
        self._pending.add(key)
        data = np.ascontiguousarray(array)
        raw = data.reshape(-1).view(np.uint8) if data.size else np.zeros(0, np.uint8)
        out = self._open()
        entry = Entry(
            self._shard, out.tell(), data.shape, data.dtype.str, zlib.crc32(raw.data), meta or {}
        )
        out.write(raw.data)
        self._lines.append((key, entry))
        if len(self._lines) >= 256:
            self.flush()

    def drop(self, key: str) -> None:
        """Forget a key; its bytes stay until the store is pruned."""
        entry = self._store._index.pop(key)
        self._append(entry.shard, [_line({"key": key, "dropped": True})])

    def flush(self) -> None:
        """Make everything added so far visible to readers."""
        if self._bin is None:
            return
        self._bin.flush()
        os.fsync(self._bin.fileno())
        self._append(self._shard, [_line(_row(key, entry)) for key, entry in self._lines])
        for key, entry in self._lines:
            self._store._add(key, entry)
        self._lines.clear()
        self._pending.clear()

    def _append(self, shard: int, lines: list[bytes]) -> None:
        index = self._store.root / f"{shard:06d}.index"
        with index.open("ab+") as out:
            if out.tell():
                out.seek(-1, os.SEEK_END)
                if out.read(1) != b"\n":  # a crash cut the last line short
                    out.write(b"\n")
            out.writelines(lines)

    def close(self) -> None:
        """Flush and let go of the shard, also where flushing fails."""
        try:
            self.flush()
        finally:
            if self._bin is not None:
                with suppress(OSError):  # only what flush has just failed to write
                    self._bin.close()
                self._bin = None

    def _open(self) -> IO[bytes]:
        if self._bin is not None and self._bin.tell() >= SHARD_BYTES:
            self.close()
            self._shard += 1
        if self._bin is None:
            self._bin = self._store._bin(self._shard).open("ab")
            self._bin.seek(0, os.SEEK_END)
        # Arrays start aligned, whatever their dtype.
        self._bin.write(b"\0" * (-self._bin.tell() % 64))
        return self._bin


def _row(key: str, entry: Entry) -> dict[str, Any]:
    return {
        "key": key,
        "offset": entry.offset,
        "shape": entry.shape,
        "dtype": entry.dtype,
        "crc32": entry.crc32,
        "meta": entry.meta,
    }
