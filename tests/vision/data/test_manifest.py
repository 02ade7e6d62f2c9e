"""The manifest: every byte counts, order does not, and nothing is decoded twice."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.data import manifest as module
from graft.vision.data.decoding import Decoded, decode
from graft.vision.data.file_bytes import BYTES_MIN
from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import DataError, UnusableImageError
from graft.vision.records import MANIFEST_COLUMNS, QUARANTINE_COLUMNS, data_digest

ALL = IngestionOptions(quarantine_share_max=1.0)


def raw(root: Path, count: int = 6) -> Path:
    """Class folders of small bitmaps: in a BMP any flipped pixel byte is a sound image."""
    for n in range(count):
        path = root / ("ant", "bee")[n % 2] / f"{n}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(n).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def ingest(root: Path, pixels: Path, options: IngestionOptions = ALL) -> Ingested:
    return build_manifest(root, PixelStore(pixels, options.decoding), options)


def changed(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The ids whose bytes or truth differ."""
    both = before.merge(after, on="id", suffixes=("", "_now"))
    differ = (both["sha256"] != both["sha256_now"]) | (both["truth"] != both["truth_now"])
    return list(both["id"][differ])


def test_manifest__holds_one_row_per_image_with_unique_ids(tmp_path: Path) -> None:
    ingested = ingest(raw(tmp_path / "raw"), tmp_path / "pixels")
    manifest = ingested.manifest
    assert list(manifest.columns) == list(MANIFEST_COLUMNS)
    assert list(ingested.quarantine.columns) == list(QUARANTINE_COLUMNS)
    assert manifest["id"].is_unique and len(manifest) == 6
    assert set(manifest["truth"]) == {'{"classes": ["ant"]}', '{"classes": ["bee"]}'}
    assert (manifest[["width", "height", "channels"]] == [12, 9, 3]).all(axis=None)


def test_manifest__gives_the_pixels_of_each_image(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    manifest = ingest(root, tmp_path / "pixels").manifest
    store = PixelStore(tmp_path / "pixels", ALL.decoding)
    for path, sha256 in zip(manifest["path"], manifest["sha256"], strict=True):
        np.testing.assert_array_equal(store.read(sha256), np.asarray(Image.open(root / path)))


def test_manifest__is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw", 40)
    one, four = (
        ingest(root, tmp_path / f"pixels{n}", ALL.model_copy(update={"workers": n})) for n in (1, 4)
    )
    pd.testing.assert_frame_equal(one.manifest, four.manifest)


# --- the digest ----------------------------------------------------------------------------------


def test_digest__does_not_depend_on_the_order_of_files(tmp_path: Path, monkeypatch) -> None:
    root = raw(tmp_path / "raw")
    plain = ingest(root, tmp_path / "a").manifest
    read_source = module.read_source

    def backwards(root: Path, options: SourceOptions):
        reading = read_source(root, options)
        reading.rows.reverse()
        return reading

    monkeypatch.setattr(module, "read_source", backwards)
    other = ingest(root, tmp_path / "b").manifest
    assert list(other["id"]) == list(plain["id"])[::-1]
    assert data_digest(other) == data_digest(plain)


def test_digest__changes_with_one_byte_of_the_last_image_and_names_it(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    before = ingest(root, tmp_path / "pixels").manifest
    last = root / before["path"].iloc[-1]
    kept = last.stat()
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    os.utime(last, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert (last.stat().st_size, last.stat().st_mtime_ns) == (kept.st_size, kept.st_mtime_ns)
    again = ingest(root, tmp_path / "pixels")
    assert data_digest(again.manifest) != data_digest(before)
    assert changed(before, again.manifest) == [before["id"].iloc[-1]]
    assert again.decoded == 1
    store = PixelStore(tmp_path / "pixels", ALL.decoding)
    new = store.read(again.manifest["sha256"].iloc[-1])
    np.testing.assert_array_equal(new, np.asarray(Image.open(last)))


def test_digest__changes_when_two_labels_are_swapped(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    table = root / "t.csv"
    options = IngestionOptions(source=SourceOptions(layout="table"))
    rows = {"ant/0.bmp": "ant", "ant/2.bmp": "ant", "bee/1.bmp": "bee"}

    def write(labels: dict[str, str]) -> pd.DataFrame:
        table.write_text("path,label\n" + "\n".join(f"{k},{v}" for k, v in labels.items()))
        return ingest(root, tmp_path / "pixels", options).manifest

    before = write(rows)
    after = write({**rows, "ant/2.bmp": "bee", "bee/1.bmp": "ant"})
    assert data_digest(after) != data_digest(before)
    assert changed(before, after) == ["ant/2.bmp", "bee/1.bmp"]
    assert data_digest(write(dict(reversed(rows.items())))) == data_digest(before)


@pytest.mark.parametrize("change", ["add", "remove", "rename"])
def test_digest__changes_with_the_set_of_files(tmp_path: Path, change) -> None:
    root = raw(tmp_path / "raw")
    before = ingest(root, tmp_path / "pixels").manifest
    if change == "add":
        (root / "ant/new.bmp").write_bytes((root / "ant/0.bmp").read_bytes())
    elif change == "remove":
        (root / "ant/0.bmp").unlink()
    else:
        (root / "ant/0.bmp").rename(root / "ant/zero.bmp")
    assert data_digest(ingest(root, tmp_path / "pixels").manifest) != data_digest(before)


CELL = st.text(st.sampled_from('ab\t\n",'), max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    one=st.lists(st.tuples(CELL, CELL, CELL), max_size=3),
    other=st.lists(st.tuples(CELL, CELL, CELL), max_size=3),
)
def test_digest__is_equal_for_equal_rows_only(one, other) -> None:
    digests = [
        data_digest(pd.DataFrame(rows, columns=["id", "sha256", "truth"])) for rows in (one, other)
    ]
    assert (digests[0] == digests[1]) == (sorted(one) == sorted(other))


def test_digest__tells_one_odd_name_from_two_rows() -> None:
    columns = ["id", "sha256", "truth"]
    two = pd.DataFrame([("a", "1", "x"), ("b", "2", "y")], columns=columns)
    one = pd.DataFrame([("a\t1\tx\nb", "2", "y")], columns=columns)
    assert data_digest(one) != data_digest(two)


# --- what is known is not done again -------------------------------------------------------------


def test_manifest__decodes_nothing_again_when_nothing_changed(tmp_path, monkeypatch) -> None:
    root = raw(tmp_path / "raw")
    (root / "ant/broken.png").write_bytes(b"no image")
    first = ingest(root, tmp_path / "pixels")
    assert first.decoded == 7  # a refusal is known as well
    monkeypatch.setattr(module, "decode", None)  # a call would fail
    for path in root.rglob("*.bmp"):
        os.utime(path)
    again = ingest(root, tmp_path / "pixels")
    assert again.decoded == 0
    pd.testing.assert_frame_equal(again.manifest, first.manifest)
    pd.testing.assert_frame_equal(again.quarantine, first.quarantine)


def test_manifest__decodes_only_what_is_new(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    ingest(root, tmp_path / "pixels")
    raw(root, 8)
    assert ingest(root, tmp_path / "pixels").decoded == 2


def test_manifest__decodes_again_by_another_rule(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    ingest(root, tmp_path / "pixels")
    grey = ALL.model_copy(update={"decoding": DecodingOptions(channels=1)})
    assert ingest(root, tmp_path / "pixels", grey).decoded == 6
    assert PixelStore(tmp_path / "pixels", ALL.decoding).read(
        ingest(root, tmp_path / "pixels").manifest["sha256"].iloc[0]
    ).shape == (9, 12, 3)


def test_manifest__keeps_one_copy_of_equal_files_and_a_row_for_each(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw", 2)
    (root / "bee/copy.bmp").write_bytes((root / "ant/0.bmp").read_bytes())
    ingested = ingest(root, tmp_path / "pixels")
    assert ingested.decoded == 2
    assert len(ingested.manifest) == 3 and ingested.manifest["sha256"].nunique() == 2


# --- the quarantine ------------------------------------------------------------------------------


def test_manifest__lists_each_unusable_file_with_its_reason(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw")
    whole = (root / "ant/0.bmp").read_bytes()
    Image.fromarray(np.full((9, 9), 777, np.uint16)).save(root / "ant/constant.png")
    (root / "ant/empty.jpg").write_bytes(b"")
    (root / "ant/text.jpg").write_text("I am no JPEG")
    (root / "bee/cut.bmp").write_bytes(whole[:-20])
    (root / "bee/wrong_ending.jpg").write_bytes(whole)
    frames = [Image.new("L", (4, 4), n) for n in (1, 2)]
    frames[0].save(root / "bee/moving.gif", save_all=True, append_images=frames[1:])
    (root / "bee/notes.doc").write_text("no image")
    ingested = ingest(root, tmp_path / "pixels")
    reasons = dict(zip(ingested.quarantine["file"], ingested.quarantine["reason"], strict=True))
    expected = {
        "ant/constant.png": "is constant",
        "ant/empty.jpg": "the file is empty",
        "ant/text.jpg": "not an image that can be read",
        "bee/cut.bmp": "cannot be decoded",
        "bee/moving.gif": "several frames",
        "bee/notes.doc": "no image file",
    }
    assert set(reasons) == set(expected)
    for file, words in expected.items():
        assert re.search(words, reasons[file]), f"{file}: {reasons[file]}"
    assert "bee/wrong_ending.jpg" in set(ingested.manifest["id"])
    assert len(ingested.manifest) == 7


def test_manifest__survives_a_file_that_goes_away(tmp_path: Path, monkeypatch) -> None:
    root = raw(tmp_path / "raw")
    read_source = module.read_source

    def and_remove(root: Path, options: SourceOptions):
        reading = read_source(root, options)
        (root / "ant/0.bmp").unlink()
        return reading

    monkeypatch.setattr(module, "read_source", and_remove)
    ingested = ingest(root, tmp_path / "pixels")
    assert list(ingested.quarantine["file"]) == ["ant/0.bmp"]
    assert "cannot be read" in ingested.quarantine["reason"].iloc[0]


def test_manifest__stops_above_the_share_that_may_be_unusable(tmp_path: Path) -> None:
    root = raw(tmp_path / "raw", 8)
    for n in range(2):
        (root / f"ant/broken{n}.png").write_bytes(b"no image")
    fifth = IngestionOptions(quarantine_share_max=0.2)
    assert len(ingest(root, tmp_path / "pixels", fifth).quarantine) == 2
    less = IngestionOptions(quarantine_share_max=0.19)
    with pytest.raises(DataError) as stop:
        ingest(root, tmp_path / "pixels", less)
    words = str(stop.value)
    assert "2 of 10 images" in words and "ant/broken0.png: not an image" in words
    assert "0.19" in words and "quarantine_share_max" in words


def test_manifest__stops_when_no_image_is_usable(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        (tmp_path / "raw" / name / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no usable image"):
        ingest(tmp_path / "raw", tmp_path / "pixels")


@pytest.mark.filterwarnings("ignore")
def test_manifest__takes_the_bad_images_apart(real_data: Path, tmp_path: Path) -> None:
    ingested = ingest(real_data / "bad_images", tmp_path / "pixels")
    files = {*ingested.manifest["id"], *ingested.quarantine["file"]}
    on_disk = {
        path.relative_to(real_data / "bad_images").as_posix()
        for path in (real_data / "bad_images").rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name != "listing.csv"
    }
    assert files == on_disk
    assert len(ingested.manifest) > 80 and (ingested.quarantine["reason"] != "").all()
    with pytest.raises(DataError, match="cannot be used"):
        ingest(real_data / "bad_images", tmp_path / "pixels", IngestionOptions())


def test_manifest__gives_one_picture_for_eight_orientations_as_serving_does(tmp_path: Path) -> None:
    y, x = np.mgrid[0:24, 0:40]
    upright = Image.fromarray(np.stack([x * 6, y * 10, x + y], axis=2).astype(np.uint8))
    laid = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse of what makes it upright
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turn = laid.get(orientation)
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        path = tmp_path / "raw" / ("ant", "bee")[orientation % 2] / f"{orientation}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        stored.save(path, exif=exif)
    manifest = ingest(tmp_path / "raw", tmp_path / "pixels").manifest
    store = PixelStore(tmp_path / "pixels", ALL.decoding)
    assert manifest["sha256"].nunique() == 8
    for path, sha256 in zip(manifest["path"], manifest["sha256"], strict=True):
        np.testing.assert_array_equal(store.read(sha256), np.asarray(upright))
        served = decode((tmp_path / "raw" / path).read_bytes(), ALL.decoding)
        np.testing.assert_array_equal(served.pixels, np.asarray(upright))


def test_manifest__tries_again_what_memory_did_not_suffice_for(tmp_path, monkeypatch) -> None:
    def without_memory(data: bytes, options: DecodingOptions) -> Decoded:
        raise UnusableImageError("cannot be decoded") from MemoryError()

    root = raw(tmp_path / "raw")
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode", without_memory)
        with pytest.raises(DataError, match="no usable image"):
            ingest(root, tmp_path / "pixels")
    assert len(ingest(root, tmp_path / "pixels").manifest) == 6


def test_manifest__does_not_read_files_larger_than_any_image(tmp_path: Path, monkeypatch) -> None:
    root = raw(tmp_path / "raw")
    with (root / "ant/film.png").open("wb") as film:
        film.truncate(BYTES_MIN + 1)
    options = IngestionOptions(
        quarantine_share_max=1.0, decoding=DecodingOptions(max_pixels=100_000)
    )
    (refused,) = ingest(root, tmp_path / "pixels", options).quarantine.to_dict("records")
    assert refused["file"] == "ant/film.png" and "too many bytes" in refused["reason"]
