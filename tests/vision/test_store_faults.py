"""Stores that were cut, changed, shared or filled up: named, made again, never a wrong array."""

import logging
import multiprocessing
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import StoreError
from graft.vision.store import ArrayStore

SPAWN = multiprocessing.get_context("spawn")
OPTIONS = IngestionOptions()
COUNT = 8


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (35, 35, 3), np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Pictures of noise in two classes."""
    for number in range(COUNT):
        file = tmp_path / "raw" / ("ant", "bee")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(file)
    return tmp_path / "raw"


def ingest(raw: Path) -> Ingested:
    return build_manifest(raw, PixelStore(raw.parent / "pixels", OPTIONS.decoding), OPTIONS)


def find_pairs(raw: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    pixels = PixelStore(raw.parent / "pixels", OPTIONS.decoding)
    cache = open_fingerprints(raw.parent / "fingerprints", OPTIONS.decoding)
    return find_near_copies(manifest, pixels, cache, OPTIONS.near_copies).pairs


def check_pixels(raw: Path, manifest: pd.DataFrame) -> None:
    """A fresh reader gets each picture as it was drawn."""
    store = PixelStore(raw.parent / "pixels", OPTIONS.decoding)
    assert len(manifest) == COUNT
    for name, sha256 in zip(manifest["id"], manifest["sha256"], strict=True):
        np.testing.assert_array_equal(store.read(sha256), picture(int(Path(name).stem)))


def only_file(folder: Path, ending: str) -> Path:
    (file,) = folder.rglob(f"*{ending}")
    return file


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 0x10
    file.write_bytes(data)


def test_pixels__cut_short_are_decoded_again(raw: Path) -> None:
    before = ingest(raw)
    shard = only_file(raw.parent / "pixels", ".bin")
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    after = ingest(raw)
    assert after.decoded == COUNT // 2
    pd.testing.assert_frame_equal(before.manifest, after.manifest)
    check_pixels(raw, after.manifest)


def test_pixels__with_a_flipped_bit_are_decoded_again_and_it_is_said_once(
    raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = ingest(raw)
    flip(only_file(raw.parent / "pixels", ".bin"), 100)
    sha256 = PixelStore(raw.parent / "pixels", OPTIONS.decoding)
    with pytest.raises(StoreError, match=r"is damaged.*next: run the whole pipeline again"):
        for key in before.manifest["sha256"]:
            sha256.read(key)
    with caplog.at_level(logging.WARNING, logger="graft"):
        after = ingest(raw)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].endswith(": 1 damaged arrays were made again")
    assert after.decoded == 1
    check_pixels(raw, after.manifest)
    assert ingest(raw).decoded == 0


def test_pixels__are_made_again_where_a_bit_of_their_index_flipped(raw: Path) -> None:
    before = ingest(raw)
    index = only_file(raw.parent / "pixels", ".index")
    for place in range(0, index.stat().st_size, 97):
        flip(index, place)
        pd.testing.assert_frame_equal(before.manifest, ingest(raw).manifest)
        check_pixels(raw, before.manifest)


@pytest.mark.parametrize("lost", [".bin", ".index"])
def test_pixels__are_made_again_where_a_file_is_lost(raw: Path, lost: str) -> None:
    ingest(raw)
    only_file(raw.parent / "pixels", lost).unlink()
    assert ingest(raw).decoded == COUNT
    check_pixels(raw, ingest(raw).manifest)


def test_fingerprints__damaged_are_made_again_and_answer_the_same(raw: Path) -> None:
    rows = ingest(raw).manifest
    copy = rows.iloc[[0]].assign(id="copy.png")
    rows = pd.concat([rows, copy], ignore_index=True)
    before = find_pairs(raw, rows)
    assert len(before) == 1
    shard = only_file(raw.parent / "fingerprints", ".bin")
    for place in (70, shard.stat().st_size - 3):  # a thumbnail, and the answer
        flip(shard, place)
        pd.testing.assert_frame_equal(before, find_pairs(raw, rows))


def test_missing__tells_damaged_arrays_and_adding_puts_new_ones_in_their_place(
    tmp_path: Path,
) -> None:
    arrays = {key: np.arange(50) + place for place, key in enumerate("abc")}
    store = ArrayStore(tmp_path, "rule")
    with store.writer() as writer:
        for key, array in arrays.items():
            writer.add(key, array)
    flip(tmp_path / "rule/000000.bin", 500)
    store = ArrayStore(tmp_path, "rule")
    assert store.missing(arrays) == ["b"]
    with store.writer() as writer:
        for key, array in arrays.items():
            writer.add(key, array)
    for reader in (store, ArrayStore(tmp_path, "rule")):
        assert reader.missing(arrays) == []
        for key, array in arrays.items():
            np.testing.assert_array_equal(reader.read(key), array)


def _ingest_there(raw: Path, out: object) -> None:
    out.put(ingest(raw).decoded)  # type: ignore[attr-defined]


def test_pixels__of_two_runs_at_once_are_whole(raw: Path) -> None:
    out = SPAWN.Queue()
    runs = [SPAWN.Process(target=_ingest_there, args=(raw, out)) for _ in range(2)]
    for run in runs:
        run.start()
    decoded = [out.get(timeout=120) for _ in runs]
    for run in runs:
        run.join()
    assert sorted(decoded) == [0, COUNT]  # the second waits, and finds all of it done
    check_pixels(raw, ingest(raw).manifest)


def _write_until_killed(folder: Path, first: int, started: object) -> None:
    store = ArrayStore(folder, "rule")
    with store.writer() as writer:
        for number in range(first, first + 10_000):
            writer.add(str(number), np.full(100, number))
            if number == first + 600:
                started.set()  # type: ignore[attr-defined]
            time.sleep(0.0002)


def test_store__goes_on_after_a_writer_was_killed(tmp_path: Path) -> None:
    for first in (0, 20_000):
        started = SPAWN.Event()
        writer = SPAWN.Process(target=_write_until_killed, args=(tmp_path, first, started))
        writer.start()
        assert started.wait(60)
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
    store = ArrayStore(tmp_path, "rule")
    assert len(store) >= 1024
    for key in store.entries():
        assert (store.read(key) == int(key)).all()


def _ingest_on_a_full_disk(raw: Path, out: object) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, hard))
    try:
        ingest(raw)
    except OSError as error:
        out.put(error.filename)  # type: ignore[attr-defined]


def test_pixels__that_find_no_space_name_the_store_and_the_next_run_goes_on(raw: Path) -> None:
    out = SPAWN.Queue()
    run = SPAWN.Process(target=_ingest_on_a_full_disk, args=(raw, out))
    run.start()
    named = out.get(timeout=120)
    run.join()
    assert Path(named).parent == raw.parent / "pixels"
    assert ingest(raw).decoded == COUNT
    check_pixels(raw, ingest(raw).manifest)
