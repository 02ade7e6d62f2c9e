"""Images without truth: decoded once, refused by name, and counted by what was drawn together."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from monitored import picture

from graft.vision.data import manifest
from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.monitoring.unlabelled import read_unlabelled

DECODING = DecodingOptions(short_side_px=96, max_pixels=40_000)


class Folder:
    """A folder of images with the stores that they are decoded into."""

    def __init__(self, root: Path) -> None:
        self.served = root / "served"
        self.served.mkdir()
        self.pixels = PixelStore(root / "pixels", DECODING)
        self.fingerprints = open_fingerprints(root / "fingerprints", DECODING)

    def write(self, name: str, pixels: np.ndarray) -> Path:
        file = self.served / name
        file.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(file), pixels)
        return file

    def read(self, group_pattern: str | None = None):
        options = IngestionOptions(
            source=SourceOptions(group_pattern=group_pattern), decoding=DECODING
        )
        return read_unlabelled(self.served, self.pixels, self.fingerprints, options)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_read_unlabelled__reads_each_content_once_and_refuses_by_name(folder: Folder) -> None:
    folder.write("monday/a.png", picture(1))
    folder.write("tuesday/again.png", picture(1))
    folder.write("tuesday/b.png", picture(2))
    folder.write("bomb.png", np.zeros((400, 400, 3), np.uint8))
    (folder.served / "note.txt").write_text("no image")
    (folder.served / ".hidden").write_text("nobody's")
    rows, refused = folder.read()
    assert list(rows["id"]) == ["monday/a.png", "tuesday/b.png"]
    assert [(row.file, row.reason.split(" (")[0]) for row in refused.itertuples()] == [
        ("bomb.png", "too many pixels; found: 400x400; allowed: 40000 in all"),
        ("note.txt", "not an image that can be read"),
    ]
    assert all(sha256 in folder.pixels for sha256 in rows["sha256"])
    again = folder.read()
    assert again[0].equals(rows) and again[1].equals(refused)


def test_read_unlabelled__decodes_no_content_again_nor_what_was_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.png", picture(1))
    folder.write("bomb.png", np.zeros((400, 400, 3), np.uint8))
    rows, refused = folder.read()
    monkeypatch.setattr(manifest, "decode", None)
    again = folder.read()
    assert again[0].equals(rows) and again[1].equals(refused)
    assert list(refused["file"]) == ["bomb.png"]


def test_read_unlabelled__groups_and_near_copies_are_one_unit(folder: Folder) -> None:
    for number in range(3):
        folder.write(f"drive_1/{number}.png", picture(number))
        folder.write(f"alone_{number}.png", picture(10 + number))
    folder.write("alone_again.png", np.clip(picture(10) * 0.9 + 10, 0, 255).astype(np.uint8))
    rows, _ = folder.read(r"(drive_\d)")
    units = rows.set_index("id")["unit"]
    assert units[[f"drive_1/{number}.png" for number in range(3)]].nunique() == 1
    assert units["alone_again.png"] == units["alone_0.png"]
    assert units.nunique() == 4


def test_read_unlabelled__a_link_out_of_the_folder_is_refused(
    folder: Folder, tmp_path: Path
) -> None:
    assert cv2.imwrite(str(tmp_path / "secret.png"), picture(5))
    (folder.served / "link.png").symlink_to(tmp_path / "secret.png")
    rows, refused = folder.read()
    assert rows.empty
    assert list(refused["reason"]) == ["leads outside the folder"]
