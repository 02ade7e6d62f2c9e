"""Arrays by key: what readers and writers of a store hold in hand."""

import fcntl
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from graft.vision.errors import StoreError
from graft.vision.records import Array
from graft.vision.store.index import Entry, read_index
from graft.vision.store.writing import Writer

RULE = "rule.json"
"""Beside the shards: how the arrays of a namespace are made, for people."""
_ATTEMPTS = 10
"""How often an index is read anew that a pruning changes meanwhile."""


@dataclass
class ArrayStore:
    """Arrays by key below ``folder / namespace``.

    Args:
        folder: the store's root; made when first written to.
        namespace: says how the arrays were made, e.g. a digest of the rule; other rules, other
            namespace, so nothing stale can be read.
        rule: what the namespace is a digest of; written down beside the first array.
    """

    folder: Path
    namespace: str
    rule: Mapping[str, Any] | None = None
    _index: dict[str, Entry] = field(default_factory=dict, init=False, repr=False)
    _maps: dict[int, Array] = field(default_factory=dict, init=False, repr=False)
    _whole: set[tuple[int, int, int]] = field(default_factory=set, init=False, repr=False)
    _damaged: set[tuple[int, int, int]] = field(default_factory=set, init=False, repr=False)
    _seen: object = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.root = Path(self.folder) / self.namespace
        self.refresh()

    def __getstate__(self) -> dict[str, Any]:
        """All but what is mapped, which would travel byte by byte."""
        return vars(self) | {"_maps": {}}

    def refresh(self) -> None:
        """Read the index again where it has changed, to see what a writer has added since."""
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # pruned while it was read
                seen = self._look()
                if seen != self._seen:
                    # Whole new tables: other threads may be reading.
                    self._index, self._maps = self._read_indexes(), {}
                    self._seen = seen
                return
        raise StoreError(f"{self.root} does not stand still", mend="run again when pruning is done")

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self._index)

    def entries(self) -> dict[str, Entry]:
        """Every key with its entry, as they were when the index was last read."""
        return dict(self._index)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys that the store lacks or holds damaged, each once, in the order given.

        Adding a damaged one again puts the new array in its place.
        """
        with ExitStack() as opened:
            shards: dict[int, IO[bytes]] = {}

            def bytes_of(entry: Entry) -> bytes:
                if entry.shard not in shards:
                    shards[entry.shard] = opened.enter_context(self._opened(entry.shard))
                return _bytes_in(shards[entry.shard], entry)

            return [key for key in dict.fromkeys(keys) if not self._holds(key, bytes_of)]

    def holds(self, key: str) -> bool:
        """Whether the array is there with the bytes that were written; read once per process."""
        return self._holds(key, self._bytes_of)

    def _holds(self, key: str, bytes_of: Callable[[Entry], bytes]) -> bool:
        entry = self._index.get(key)
        if entry is None or entry.place in self._damaged:
            return False
        if entry.place in self._whole:
            return True
        # Read and not mapped: pages that are merely compared would count as memory in use.
        raw = bytes_of(entry)
        if len(raw) != entry.bytes:  # pruned since the index was read: it lies elsewhere now
            self.refresh()
            entry = self._index.get(key)
            raw = b"" if entry is None else bytes_of(entry)
        return entry is not None and self._is_whole(entry, raw)

    def entry(self, key: str) -> Entry:
        """Where an array lies. Raises `StoreError` where there is none."""
        try:
            return self._index[key]
        except KeyError:
            raise StoreError(
                f"array {key} is not in {self.root}",
                mend="run the whole pipeline again; it adds what is missing",
            ) from None

    def meta(self, key: str) -> dict[str, Any]:
        """What the writer noted beside the array."""
        return self.entry(key).meta

    def read(self, key: str) -> Array:
        """The array, read-only and memory-mapped. Raises `StoreError` when it is damaged."""
        entry = self.entry(key)
        raw = self._mapped(entry)
        if len(raw) != entry.bytes:  # pruned since the index was read: it lies elsewhere now
            self.refresh()
            entry = self.entry(key)
            raw = self._mapped(entry)
        if not self._is_whole(entry, raw):
            raise StoreError(
                f"array {key} in {self.shard_file(entry.shard)} is damaged",
                found="a checksum that differs from the index",
                mend="run the whole pipeline again; it makes what is damaged anew",
            )
        return raw.view(entry.dtype).reshape(entry.shape)

    def release(self) -> None:
        """Let go of mapped shards, whose pages count as memory in use; reading maps them again."""
        self._maps = {}

    @contextmanager
    def writer(self, *, wait: bool = True) -> Iterator[Writer]:
        """Hold the store's one write lock and yield what adds arrays; waits for other writers.

        Raises `OSError` where the disk is full or may not be written; what was flushed stays.
        Raises `BlockingIOError` at once where another writes and ``wait`` is false.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            self.refresh()
            try:
                self._state_rule()
                with closing(Writer(self)) as writer:
                    yield writer
            except OSError as error:
                error.filename = error.filename or str(self.root)  # a write names no file
                raise

    def shard_file(self, shard: int) -> Path:
        """Where the bytes of a shard lie."""
        return self.root / f"{shard:06d}.bin"

    def index_file(self, shard: int) -> Path:
        """Where the lines of a shard lie."""
        return self.root / f"{shard:06d}.index"

    def is_damaged(self, key: str) -> bool:
        """Whether an array was found to differ from its checksum."""
        return key in self._index and self._index[key].place in self._damaged

    def take(self, key: str, entry: Entry) -> None:
        """What a writer has just put on disk."""
        self._index[key] = entry
        self._whole.add(entry.place)

    def _is_whole(self, entry: Entry, raw: Any) -> bool:
        """Whether these bytes are those that were written; found out once."""
        if entry.place not in self._whole and entry.place not in self._damaged:
            whole = len(raw) == entry.bytes and zlib.crc32(raw) == entry.crc32
            (self._whole if whole else self._damaged).add(entry.place)
        return entry.place in self._whole

    def _bytes_of(self, entry: Entry) -> bytes:
        with self._opened(entry.shard) as shard:
            return _bytes_in(shard, entry)

    def _opened(self, shard: int) -> IO[bytes]:
        """The bytes of a shard; none where it is gone."""
        try:
            return self.shard_file(shard).open("rb", buffering=0)
        except FileNotFoundError:
            return io.BytesIO()

    def _mapped(self, entry: Entry) -> Array:
        """The bytes of an array as they lie on disk; fewer where the shard is cut or gone."""
        end = entry.offset + entry.bytes
        shard = self._maps.get(entry.shard)
        if shard is None or len(shard) < end:
            try:
                shard = np.memmap(self.shard_file(entry.shard), np.uint8, mode="r")
            except (FileNotFoundError, ValueError):  # gone, or empty
                shard = np.zeros(0, np.uint8)
            self._maps[entry.shard] = shard
        return shard[entry.offset : end]

    def _look(self) -> list[tuple[str, int, int, int]]:
        """What moves whenever a shard or an index is written to, removed or put in place."""
        files = sorted(path for path in self.root.glob("*.*") if path.suffix in (".bin", ".index"))
        stats = [(path.name, path.stat()) for path in files]
        return [(name, stat.st_ino, stat.st_size, stat.st_ctime_ns) for name, stat in stats]

    def _read_indexes(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for path in sorted(self.root.glob("*.index")):
            shard = self.shard_file(int(path.stem))
            size = shard.stat().st_size if shard.exists() else 0
            for key, entry in read_index(path, int(path.stem)):
                if entry.offset + entry.bytes <= size:
                    found[key] = entry
        return found

    def _state_rule(self) -> None:
        file = self.root / RULE
        if self.rule is not None and not file.exists():
            part = file.with_suffix(".part")
            part.write_text(json.dumps(self.rule, indent=2) + "\n")
            part.replace(file)


def _bytes_in(shard: IO[bytes], entry: Entry) -> bytes:
    shard.seek(entry.offset)
    return shard.read(entry.bytes) or b""
