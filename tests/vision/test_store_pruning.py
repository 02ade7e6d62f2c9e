"""Pruning a store: what is needed stays, beside readers and after any kill."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from graft.vision.errors import StoreError
from graft.vision.records import Array
from graft.vision.store import ArrayStore, writing
from graft.vision.store.pruning import look_into, prune

SPAWN = multiprocessing.get_context("spawn")


def array_of(key: int) -> Array:
    return np.full(300, key, np.int64)


def fill(folder: Path, keys: range) -> ArrayStore:
    store = ArrayStore(folder, "rule")
    with store.writer() as writer:
        for key in keys:
            writer.add(str(key), array_of(key), {"number": key})
    return store


def even(key: str, entry: object) -> bool:
    return int(key) % 2 == 0


def check_evens(folder: Path, count: int) -> None:
    store = ArrayStore(folder, "rule")
    for key in range(0, count, 2):
        np.testing.assert_array_equal(store.read(str(key)), array_of(key))
        assert store.meta(str(key)) == {"number": key}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHARD_BYTES", 20_000)


@pytest.mark.usefixtures("small_shards")
def test_prune__keeps_what_is_needed_and_gives_the_rest_back(tmp_path: Path) -> None:
    store = fill(tmp_path, range(40))
    before = look_into(store)
    assert (before.arrays, before.dead_bytes) == (40, 0) and before.shards > 3
    told = prune(store, even, -1, remove=False)
    assert told.arrays == 20 and look_into(store) == before  # nothing is done unasked
    assert prune(store, even, -1, remove=True) == told
    after = look_into(ArrayStore(tmp_path, "rule"))
    assert (after.arrays, after.bytes, after.dead_bytes) == (20, before.bytes // 2, 0)
    check_evens(tmp_path, 40)
    assert ArrayStore(tmp_path, "rule").missing(["1", "2", "3"]) == ["1", "3"]


def test_prune__frees_what_was_overwritten(tmp_path: Path) -> None:
    store = fill(tmp_path, range(4))
    with store.writer() as writer:
        writer.put("2", array_of(2))
    assert 2400 <= look_into(store).dead_bytes <= 2432  # with the gaps that align
    prune(store, lambda key, entry: True, -1, remove=True)
    assert look_into(store).dead_bytes == 0
    assert sorted(store.entries()) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(ArrayStore(tmp_path, "rule").read("2"), array_of(2))


def test_prune__leaves_what_was_written_to_just_now(tmp_path: Path) -> None:
    store = fill(tmp_path, range(4))
    assert prune(store, lambda key, entry: False, 3600, remove=True).arrays == 0
    assert len(ArrayStore(tmp_path, "rule")) == 4


def test_prune__never_gives_a_number_twice(tmp_path: Path) -> None:
    reader = fill(tmp_path, range(3))
    prune(ArrayStore(tmp_path, "rule"), lambda key, entry: False, -1, remove=True)
    fill(tmp_path, range(3, 9))
    stale = dict(reader.entries())  # an index from before, and no shard mapped
    assert set(stale) == {"0", "1", "2"}
    with pytest.raises(StoreError, match="is not in"):
        reader.read("1")
    np.testing.assert_array_equal(reader.read("5"), array_of(5))


def test_prune__is_not_seen_by_who_reads(tmp_path: Path) -> None:
    reader = fill(tmp_path, range(10))
    mapped = reader.read("4")
    other = ArrayStore(tmp_path, "rule")
    prune(ArrayStore(tmp_path, "rule"), even, -1, remove=True)
    np.testing.assert_array_equal(mapped, array_of(4))
    np.testing.assert_array_equal(reader.read("8"), array_of(8))
    np.testing.assert_array_equal(other.read("8"), array_of(8))
    assert other.missing(["8"]) == []


def test_prune__leaves_damaged_arrays_out_to_be_made_again(tmp_path: Path) -> None:
    fill(tmp_path, range(4))
    shard = tmp_path / "rule/000000.bin"
    data = bytearray(shard.read_bytes())
    data[2432 + 5] ^= 4
    shard.write_bytes(data)
    store = ArrayStore(tmp_path, "rule")
    told = prune(store, lambda key, entry: int(key) < 3, -1, remove=True)
    assert (told.arrays, told.damaged) == (1, 1)
    assert store.missing(["0", "1", "2"]) == ["1"]


def _hold(folder: Path, ready: object) -> None:
    with ArrayStore(folder, "rule").writer():
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_prune__leaves_a_store_alone_that_is_written_to(tmp_path: Path) -> None:
    store, ready = fill(tmp_path, range(4)), SPAWN.Event()
    writer = SPAWN.Process(target=_hold, args=(tmp_path, ready))
    writer.start()
    try:
        assert ready.wait(60)
        with pytest.raises(StoreError, match="is being written to"):
            prune(store, even, -1, remove=True)
    finally:
        writer.kill()
        writer.join()
    assert prune(store, even, -1, remove=True).arrays == 2


def _prune_and_die(folder: Path, calls: int) -> None:
    """Die by SIGKILL at the n-th touch of the disk that matters."""
    left = [calls]

    def counted(real: object) -> object:
        def act(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)  # type: ignore[operator]

        return act

    writing.SHARD_BYTES = 20_000
    os.fsync = counted(os.fsync)  # type: ignore[assignment]
    Path.unlink = counted(Path.unlink)  # type: ignore[assignment,method-assign]
    Path.open = counted(Path.open)  # type: ignore[assignment,method-assign]
    prune(ArrayStore(folder, "rule"), even, -1, remove=True)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("calls", [2, 9, 14, 18, 23, 25, 26, 27, 31, 36])
def test_prune__killed_anywhere_loses_nothing_and_goes_on(tmp_path: Path, calls: int) -> None:
    fill(tmp_path, range(20))
    context = multiprocessing.get_context("fork")
    killed = context.Process(target=_prune_and_die, args=(tmp_path, calls))
    killed.start()
    killed.join()
    check_evens(tmp_path, 20)
    store = ArrayStore(tmp_path, "rule")
    prune(store, even, -1, remove=True)
    after = look_into(store)
    assert (after.arrays, after.dead_bytes) == (10, 0)
    check_evens(tmp_path, 20)


def _read_on(folder: Path, stop: object, out: object) -> None:
    """Read all evens again and again, and say how often; anything else is a fault."""
    rounds = 0
    while not stop.is_set():  # type: ignore[attr-defined]
        check_evens(folder, 200)
        rounds += 1
    out.put(rounds)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("small_shards")
def test_prune__goes_on_beside_readers(tmp_path: Path) -> None:
    store = fill(tmp_path, range(200))
    stop, out = SPAWN.Event(), SPAWN.Queue()
    reader = SPAWN.Process(target=_read_on, args=(tmp_path, stop, out))
    reader.start()
    for number in range(1, 100):
        prune(
            store,
            lambda key, entry, n=number: even(key, entry) or int(key) > 2 * n,
            -1,
            remove=True,
        )
    stop.set()
    assert out.get(timeout=60) > 0
    reader.join()
    assert reader.exitcode == 0
    check_evens(tmp_path, 200)
