"""What a store holds, and giving back the disk that nothing needs any more.

Arrays that stay are appended to a new shard and named there before the old one goes: its index
first, then its bytes. Killed at any moment, every array that stays is in one shard or in two, and
the next pruning goes on from there. Who has the old shard mapped reads on; who has its index alone
finds no shard, and looks again.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graft.vision.errors import StoreError
from graft.vision.store.arrays import ArrayStore
from graft.vision.store.index import Entry
from graft.vision.store.writing import ALIGNED, Writer

Needed = Callable[[str, Entry], bool]
"""Whether the array of a key is to stay."""
Plan = dict[int, dict[str, Entry]]
"""Each shard that is to go, with the arrays of it that stay."""


@dataclass(frozen=True)
class Holding:
    """What lies in a namespace.

    Attributes:
        dead_bytes: what no key names any more: overwritten, or left by a killed run.
        written: when it was last added to, in seconds since the epoch; 0.0 where never.
    """

    arrays: int
    bytes: int
    dead_bytes: int
    shards: int
    written: float


@dataclass(frozen=True)
class Pruned:
    """What pruning removed, or would: arrays that nobody needs, damaged ones, bytes of disk."""

    arrays: int
    damaged: int
    bytes: int


def look_into(store: ArrayStore) -> Holding:
    """What lies in a store, as its index says it now."""
    entries, shards = store.entries(), _shards(store)
    on_disk = sum(size for size, _ in shards.values())
    return Holding(
        arrays=len(entries),
        bytes=sum(entry.bytes for entry in entries.values()),
        dead_bytes=max(0, on_disk - _live_bytes(entries)),
        shards=len(shards),
        written=max((written for _, written in shards.values()), default=0.0),
    )


def prune(store: ArrayStore, needed: Needed, idle_s: float, *, remove: bool) -> Pruned:
    """Remove what no key names, and arrays that nobody needs.

    Args:
        needed: says which arrays stay.
        idle_s: shards that were written to within this many seconds stay as they are, for a run
            that is going on may be about to name their arrays.
        remove: does it; else it is only told what would be removed.

    Raises:
        StoreError: where another process writes to the store.
        OSError: where the disk has no room for the next shard; all that was there is there still.
    """
    store.refresh()
    if not remove:
        return _told(store, _plan(store, needed, idle_s))
    try:
        with store.writer(wait=False) as writer:
            plan = _plan(store, needed, idle_s)
            told = _told(store, plan)
            damaged = _rewrite(store, writer, plan)
    except BlockingIOError as error:
        raise StoreError(
            f"{store.root} is being written to", mend="prune when that run has ended"
        ) from error
    store.refresh()
    return Pruned(told.arrays, damaged, told.bytes)


def _rewrite(store: ArrayStore, writer: Writer, plan: Plan) -> int:
    """Move what stays out of each shard of the plan, then remove it; counts damaged arrays."""
    if plan:
        writer.next_shard()
    damaged = 0
    # The emptiest first: on a full disk they make room for the others.
    for shard in sorted(plan, key=lambda shard: sum(e.bytes for e in plan[shard].values())):
        for key, entry in plan[shard].items():
            if store.holds(key):
                writer.put(key, store.read(key), entry.meta)
            else:
                damaged += 1
        writer.flush()
        _sync(store.root)
        store.index_file(shard).unlink(missing_ok=True)
        store.shard_file(shard).unlink(missing_ok=True)
    return damaged


def _plan(store: ArrayStore, needed: Needed, idle_s: float) -> Plan:
    shards, since = _shards(store), time.time() - idle_s
    own: Plan = {shard: {} for shard in shards}
    for key, entry in store.entries().items():
        own[entry.shard][key] = entry
    plan: Plan = {}
    for shard, (size, written) in shards.items():
        kept = {key: entry for key, entry in own[shard].items() if needed(key, entry)}
        # The last number stays, empty or not, so that none is given twice.
        empty = not size and shard < max(shards)
        wasted = size > _live_bytes(own[shard]) or len(kept) < len(own[shard])
        if written < since and (wasted or empty):
            plan[shard] = kept
    return plan


def _told(store: ArrayStore, plan: Plan) -> Pruned:
    """What goes with the shards of a plan."""
    shards = _shards(store)
    arrays = sum(entry.shard in plan for entry in store.entries().values())
    freed = sum(shards[shard][0] - _live_bytes(kept) for shard, kept in plan.items())
    return Pruned(arrays - sum(map(len, plan.values())), 0, max(0, freed))


def _shards(store: ArrayStore) -> dict[int, tuple[int, float]]:
    """Each shard's size in bytes, and when its index was last written to."""
    found: dict[int, tuple[int, float]] = {}
    for path in sorted(store.root.glob("[0-9]*.*")):
        shard = int(path.stem)
        size, written = found.get(shard, (0, 0.0))
        stat = path.stat()
        size += stat.st_size if path.suffix == ".bin" else 0
        found[shard] = size, max(written, stat.st_mtime)
    return found


def _live_bytes(entries: Mapping[str, Entry]) -> int:
    """Bytes that keys name, with the gaps that align them."""
    return sum(entry.bytes + -entry.bytes % ALIGNED for entry in entries.values())


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk, and the lines of its indexes."""
    for path in [*folder.glob("*.index"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
