"""The array store: what was put in comes out, and damage is named."""

import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graft.vision.errors import StoreError
from graft.vision.store import ArrayStore


def fill(store: ArrayStore, **arrays: np.ndarray) -> None:
    with store.writer() as writer:
        for key, array in arrays.items():
            writer.add(key, array, {"name": key})


@settings(max_examples=25, deadline=None)
@given(
    arrays=st.lists(
        hnp.arrays(
            st.sampled_from([np.uint8, np.float32, np.uint64]),
            hnp.array_shapes(max_dims=3, max_side=9),
        ),
        max_size=6,
    )
)
def test_store__returns_what_was_added_in_another_process(tmp_path_factory, arrays) -> None:
    folder = tmp_path_factory.mktemp("store")
    fill(ArrayStore(folder, "rule"), **{f"k{i}": array for i, array in enumerate(arrays)})
    again = ArrayStore(folder, "rule")
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(again.read(f"k{i}"), array)
        assert again.read(f"k{i}").dtype == array.dtype
        assert again.meta(f"k{i}") == {"name": f"k{i}"}


def test_store__knows_what_is_missing_and_says_where(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, "rule")
    fill(store, a=np.arange(3))
    assert store.missing(["a", "b", "b", "c"]) == ["b", "c"]
    with pytest.raises(StoreError, match="array b is not in"):
        store.read("b")


def test_store__names_a_flipped_byte_and_never_returns_it(tmp_path: Path) -> None:
    fill(ArrayStore(tmp_path, "rule"), a=np.arange(100, dtype=np.float32), b=np.ones(3))
    shard = tmp_path / "rule" / "000000.bin"
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    store = ArrayStore(tmp_path, "rule")
    with pytest.raises(StoreError, match=r"array a .* is damaged"):
        store.read("a")
    np.testing.assert_array_equal(store.read("b"), np.ones(3))
    assert store.missing(["a", "b"]) == ["a"]
    fill(store, a=np.arange(100, dtype=np.float32))
    np.testing.assert_array_equal(ArrayStore(tmp_path, "rule").read("a"), np.arange(100))


def test_store__passes_over_what_a_crash_cut_short(tmp_path: Path) -> None:
    fill(ArrayStore(tmp_path, "rule"), a=np.arange(50), b=np.arange(60))
    index = tmp_path / "rule" / "000000.index"
    index.write_bytes(index.read_bytes()[:-7])
    store = ArrayStore(tmp_path, "rule")
    assert store.missing(["a", "b"]) == ["b"]
    fill(store, b=np.arange(60))
    np.testing.assert_array_equal(ArrayStore(tmp_path, "rule").read("b"), np.arange(60))


def test_store__passes_over_arrays_whose_bytes_are_gone(tmp_path: Path) -> None:
    fill(ArrayStore(tmp_path, "rule"), a=np.arange(50), b=np.arange(60))
    shard = tmp_path / "rule" / "000000.bin"
    shard.write_bytes(shard.read_bytes()[:420])
    assert ArrayStore(tmp_path, "rule").missing(["a", "b"]) == ["b"]


def _add_many(folder: Path, first: int) -> None:
    store = ArrayStore(folder, "rule")
    with store.writer() as writer:
        for i in range(first, first + 40):
            writer.add(f"k{i}", np.full(17, i))


def test_store__takes_two_writers_one_after_the_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(tmp_path, n)) for n in (0, 30)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = ArrayStore(tmp_path, "rule")
    assert len(store) == 70
    assert all((store.read(f"k{i}") == i).all() for i in range(70))


@pytest.mark.parametrize("cut", [None, 0])
def test_store__survives_any_change_of_its_index(tmp_path: Path, cut: int | None) -> None:
    arrays = {"a": np.arange(50), "b": np.arange(60)}
    fill(ArrayStore(tmp_path, "rule"), **arrays)
    index = tmp_path / "rule" / "000000.index"
    whole = index.read_bytes()
    for place in range(len(whole)):
        changed = whole[:cut] if cut is not None else whole[:place] + b"7" + whole[place + 1 :]
        index.write_bytes(changed)
        store = ArrayStore(tmp_path, "rule")
        for key in {"a", "b"} - set(store.missing(["a", "b"])):
            np.testing.assert_array_equal(store.read(key), arrays[key])
            assert store.meta(key) == {"name": key}
        fill(store, **arrays)
        assert ArrayStore(tmp_path, "rule").missing(["a", "b"]) == []


def test_store__keeps_what_was_flushed_when_the_disk_is_full(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow, as a full disk does."""
    fill(ArrayStore(tmp_path, "rule"), a=np.arange(50))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            fill(ArrayStore(tmp_path, "rule"), b=np.arange(9000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "rule")
    store = ArrayStore(tmp_path, "rule")
    assert store.missing(["a", "b"]) == ["b"]
    np.testing.assert_array_equal(store.read("a"), np.arange(50))
    fill(store, b=np.arange(9000))
    np.testing.assert_array_equal(ArrayStore(tmp_path, "rule").read("b"), np.arange(9000))
