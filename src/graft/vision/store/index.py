"""The index of a shard: a line per array, each with a checksum of its own."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np


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
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def place(self) -> tuple[int, int, int]:
        """What tells the bytes of this array from all others that ever lay in the store."""
        return self.shard, self.offset, self.crc32


def read_index(path: Path, shard: int) -> Iterator[tuple[str, Entry]]:
    """Each key of an index with its entry; damaged lines are left out."""
    with path.open("rb") as lines:
        for line in lines:
            row = _parse(line)
            if row is not None:
                yield row["key"], _entry_of(row, shard)


def line_of(key: str, entry: Entry) -> bytes:
    """The index line that names an array: eight hexadecimal digits of the text's CRC-32, a blank,
    JSON."""
    row = {
        "key": key,
        "offset": entry.offset,
        "shape": entry.shape,
        "dtype": entry.dtype,
        "crc32": entry.crc32,
        "meta": entry.meta,
    }
    text = json.dumps(row).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    """An index row, or None for a line that was cut short or has changed since."""
    checksum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text[:-1]):
        return None
    row: dict[str, Any] = json.loads(text)
    return row


def _entry_of(row: dict[str, Any], shard: int) -> Entry:
    return Entry(shard, row["offset"], tuple(row["shape"]), row["dtype"], row["crc32"], row["meta"])
