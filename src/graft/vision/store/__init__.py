"""A content-addressed store of arrays: sharded, memory-mapped, many readers and one writer.

A shard is ``NNNNNN.bin`` (raw array bytes, appended) beside ``NNNNNN.index`` (one line per array:
the line's own checksum, then JSON with key, offset, shape, dtype, crc32, meta). Bytes are on disk
before their index line is, so a crash or a full disk leaves at most bytes that no line names; a
line that is torn or damaged is passed over, and what it named is made again. The checksum of an
array is compared at its first read in a process, so a flipped bit is named and never returned.

A shard's number is never given twice: who still holds an index from before a pruning finds no
shard, and looks again, rather than other bytes.
"""

from graft.vision.store.arrays import ArrayStore
from graft.vision.store.index import Entry
from graft.vision.store.writing import Writer

__all__ = ["ArrayStore", "Entry", "Writer"]
