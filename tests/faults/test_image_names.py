"""Odd names, links and pipes among served images: each is refused by name, the rest goes on."""

import os
from pathlib import Path

import pytest
from image_roads import new_model

from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.monitoring.unlabelled import read_unlabelled
from graft.vision.serving import predict_images
from image_bombs import file_of, picture

DECODING = DecodingOptions(short_side_px=32)


def read(folder: Path, work: Path):
    pixels = PixelStore(work / "pixels", DECODING)
    prints = open_fingerprints(work / "prints", DECODING)
    return read_unlabelled(folder, pixels, prints, IngestionOptions(decoding=DECODING))


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder with one sound image and one outside of it."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/sound.png").write_bytes(file_of(picture()))
    (tmp_path / "outside.png").write_bytes(file_of(picture(30, 50)))
    return tmp_path / "served"


NAMES = (b"\xff\xfe", b"new\nline", b"-rf", b"<script>", b"=cmd()", "\u202e".encode())


@pytest.mark.parametrize("name", [name + b".png" for name in NAMES])
def test_unlabelled__takes_odd_names_or_refuses_them_by_name(served: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(served), name)  # noqa: PTH118 - bytes
    Path(os.fsdecode(path)).write_bytes(file_of(picture(20, 30)))
    rows, refused = read(served, served.parent)
    assert "sound.png" in set(rows["id"]) and len(rows) + len(refused) == 2
    for told in [*rows["id"], *refused["file"], *refused["reason"]]:
        told.encode()
    if name.startswith(b"\xff"):
        assert list(refused["file"]) == ["\\xff\\xfe.png".replace("\\x", "\\udc")]
        assert "not UTF-8" in refused["reason"].iloc[0]


def test_unlabelled__waits_for_no_pipe_and_follows_no_link(served: Path) -> None:
    os.mkfifo(served / "pipe.png")
    (served / "loop.png").symlink_to("loop.png")
    (served / "around").symlink_to(served)
    (served / "out").symlink_to(served.parent)
    (served / "link.png").symlink_to(served.parent / "outside.png")
    (served / "device.png").symlink_to("/dev/zero")
    rows, refused = read(served, served.parent)
    assert list(rows["id"]) == ["sound.png"]
    assert list(refused["file"]) == ["link.png"]


def test_serving__answers_odd_paths_one_by_one(served: Path) -> None:
    os.mkfifo(served / "pipe.png")
    (served / "loop.png").symlink_to("loop.png")
    (served / "empty.png").touch()
    odd = [Path("/x" * 5000), Path("a\0b"), served, Path("/dev/zero")]
    odd += [served / name for name in ("pipe.png", "loop.png", "empty.png", "\udcff.png")]
    model = new_model(served.parent / "work")
    table = predict_images(model, [*odd, None, b"", served / "sound.png"])
    assert all(table["error"].iloc[:-1]) and table["error"].iloc[-1] == ""
    assert table["score"].notna().tolist() == [False] * (len(odd) + 2) + [True]
    "".join(table["error"]).encode()
