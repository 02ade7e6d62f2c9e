"""Recognise: a folder's layout with options that read it; what is in doubt is said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources import SourceReading, read_source
from graft.vision.data.sources.recognise import Recognition, recognise
from graft.vision.errors import DataError


def tree(root: Path, *names: str, side: int = 80, mode: str = "RGB") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((side, side), np.uint8)).convert(mode).save(path)
    return root


def read_as(root: Path, recognised: Recognition) -> SourceReading:
    """Read the folder by the options proposed, as conf will hold them."""
    return read_source(root, SourceOptions.parse(recognised.options, "recognised"))


def said(lines: list[str]) -> str:
    return "\n".join(lines)


def test_recognise__finds_class_folders(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{name}/{n}.png" for name in ("ant", "bee") for n in range(6)))
    recognised = recognise(tmp_path)
    assert (recognised.layout, recognised.truth) == ("folders", "classes")
    assert recognised.options == {"layout": "folders"}
    assert "12 images in 2 class folders" in said(recognised.found)
    assert recognised.doubts == []
    assert len(read_as(tmp_path, recognised).rows) == 12


def test_recognise__finds_given_splits(tmp_path: Path) -> None:
    tree(tmp_path, "train/ant/1.png", "train/bee/1.png", "val/ant/1.png", "val/bee/1.png")
    assert "given splits: train 2, val 2" in said(recognise(tmp_path).found)


def test_recognise__proposes_tracks_as_groups(tmp_path: Path) -> None:
    names = [
        f"{sign}/{track:05d}_{frame:05d}.png"
        for sign in "ab"
        for track in (0, 1)
        for frame in range(5)
    ]
    recognised = recognise(tree(tmp_path, *names))
    assert "tracks: 20 images in 4 groups" in said(recognised.found)
    groups = {row.path: row.group for row in read_as(tmp_path, recognised).rows}
    assert len(set(groups.values())) == 4
    assert groups["a/00000_00000.png"] == groups["a/00000_00004.png"] != groups["b/00000_00000.png"]


def test_recognise__proposes_patients_as_groups_across_classes(tmp_path: Path) -> None:
    tree(tmp_path, "ill/00000013_001.png", "well/00000013_002.png", "well/00000014_001.png")
    recognised = recognise(tmp_path)
    assert "patients: 3 images in 2 groups" in said(recognised.found)
    groups = {row.path: row.group for row in read_as(tmp_path, recognised).rows}
    assert groups["ill/00000013_001.png"] == groups["well/00000013_002.png"]


def test_recognise__proposes_no_groups_for_names_that_are_all_single(tmp_path: Path) -> None:
    tree(
        tmp_path,
        *(f"{name}/{n:07d}_1.png" for n in range(5) for name in ("ant", "bee")[n % 2 :][:1]),
    )
    assert "group_pattern" not in recognise(tmp_path).options


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_recognise__finds_a_table_and_the_folder_of_its_images(tmp_path: Path, delimiter) -> None:
    tree(tmp_path, *(f"pictures/{n}.png" for n in range(4)))
    rows = [
        ("file_name", "Label", "Patient"),
        *((f"{n}.png", "ab"[n % 2], f"p{n}") for n in range(5)),
    ]
    (tmp_path / "labels.csv").write_text("\n".join(delimiter.join(row) for row in rows))
    recognised = recognise(tmp_path)
    assert recognised.layout == "table"
    assert recognised.options["images_folder"] == "pictures"
    assert recognised.options["group_column"] == "Patient"
    assert "4 rows with an image, 1 without use" in said(recognised.found)
    assert "4.png: the file is missing" in said(recognised.doubts)
    reading = read_as(tmp_path, recognised)
    assert len(reading.rows) == 4 and {row.group for row in reading.rows} == {
        "p0",
        "p1",
        "p2",
        "p3",
    }


def test_recognise__finds_a_table_in_a_folder_below(tmp_path: Path) -> None:
    tree(tmp_path, "set/0.png", "set/1.png")
    (tmp_path / "set/t.csv").write_text("path,label\n0.png,a\n1.png,b\n")
    recognised = recognise(tmp_path)
    assert recognised.options["folder"] == "set"
    assert [row.path for row in read_as(tmp_path, recognised).rows] == ["set/0.png", "set/1.png"]


def test_recognise__finds_several_labels_by_delimiter_or_by_columns(tmp_path: Path) -> None:
    tree(tmp_path, "0.png", "1.png")
    (tmp_path / "t.csv").write_text("path,labels\n0.png,cat|dog\n1.png,dog\n")
    recognised = recognise(tmp_path)
    assert recognised.options["multi_label"] is True
    assert [row.truth for row in read_as(tmp_path, recognised).rows] == [
        '{"classes": ["cat", "dog"]}',
        '{"classes": ["dog"]}',
    ]
    (tmp_path / "t.csv").write_text("path,cat,dog,note\n0.png,1,1,x\n1.png,0,1,y\n")
    recognised = recognise(tmp_path)
    assert recognised.options["label_columns"] == ["cat", "dog"]
    assert "label_column" not in recognised.options
    assert read_as(tmp_path, recognised).rows[1].truth == '{"classes": ["dog"]}'


def test_recognise__takes_a_named_label_before_columns_of_flags(tmp_path: Path) -> None:
    """Labels of 0 and 1 beside another flag are no two classes of one image."""
    tree(tmp_path, "0.png", "1.png")
    (tmp_path / "t.csv").write_text("path,label,is_valid\n0.png,1,0\n1.png,0,1\n")
    recognised = recognise(tmp_path)
    assert recognised.options["label_column"] == "label"
    assert "label_columns" not in recognised.options and "multi_label" not in recognised.options


def test_recognise__passes_over_tables_that_are_none(tmp_path: Path) -> None:
    tree(tmp_path, "0.png", "1.png")
    (tmp_path / "a_broken.csv").write_text("path,label\n0.png,a\n1.png,b,c,d\n")
    (tmp_path / "b_notes.csv").write_text("who,when\nme,now\n")
    (tmp_path / "c_empty.csv").write_text("")
    (tmp_path / "t.csv").write_text("path,label\n0.png,a\n1.png,b\n")
    assert recognise(tmp_path).options["table"] == ["t.csv"]


def test_recognise__doubts_thin_uneven_small_and_mixed_classes(tmp_path: Path) -> None:
    tree(tmp_path, *(f"many/{n}.png" for n in range(55)), side=32)
    tree(tmp_path, "few/not_found.gif", side=32, mode="L")
    doubts = said(recognise(tmp_path).doubts)
    for doubt in ("fewer than 5 images", "uneven: 1 to 55", "images are small", "modes are mixed"):
        assert doubt in doubts
    assert "placeholders: few/not_found.gif" in doubts
    assert "formats seen once or twice" in doubts


def test_recognise__says_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        recognise(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no image in .*found: an empty folder"):
        recognise(tmp_path)
    with pytest.raises(DataError, match=r"layout of .* is not recognised; found: 2 images"):
        recognise(tree(tmp_path, "1.png", "one/2.png"))


def test_recognise__knows_hymenoptera(real_data: Path) -> None:
    recognised = recognise(real_data / "hymenoptera")
    assert recognised.options == {"layout": "folders"}
    assert "398 images in 2 class folders" in said(recognised.found)
    assert "given splits: train 245, val 153" in said(recognised.found)
    assert "imageNotFound.gif" in said(recognised.doubts)
    reading = read_as(real_data / "hymenoptera", recognised)
    assert len(reading.rows) == 398 and reading.quarantine == []


def test_recognise__knows_gtsrb_and_its_tracks(real_data: Path) -> None:
    recognised = recognise(real_data / "gtsrb")
    assert "3248 images in 43 class folders" in said(recognised.found)
    assert "given splits: test 645, train 2603" in said(recognised.found)
    assert "images are small (median short side 35 px)" in said(recognised.doubts)
    rows = read_as(real_data / "gtsrb", recognised).rows
    tracks = {row.group for row in rows if row.given_split == "train"}
    assert "" not in tracks and len(tracks) == 129
    for row in rows:  # the file's name is track_frame
        if row.given_split == "train":
            folder, name = Path(row.path).parent.name, Path(row.path).name
            assert row.group.endswith(f"{folder}/{name.split('_')[0]}")


def test_recognise__knows_xray_and_its_patients(real_data: Path) -> None:
    recognised = recognise(real_data / "xray_3class")
    assert "456 images in 3 class folders" in said(recognised.found)
    rows = read_as(real_data / "xray_3class", recognised).rows
    truths: dict[str, list[str]] = {}
    for row in rows:
        if row.group:
            truths.setdefault(row.group, []).append(row.truth)
    assert sum(len(found) > 1 for found in truths.values()) == 16
    assert sum(len(set(found)) > 1 for found in truths.values()) == 3
    assert "modes are mixed" in said(recognised.doubts)


@pytest.mark.parametrize("name", ["bccd", "car_coco", "camvid"])
def test_recognise__makes_no_classes_of_other_truths(real_data: Path, name) -> None:
    with pytest.raises(DataError, match=r"not recognised|no classes of whole"):
        recognise(real_data / name, "classes")


def test_recognise__counts_dicom_files_as_images(real_data: Path) -> None:
    recognised = recognise(real_data / "dicom")
    assert "164 images in 3 class folders" in said(recognised.found)
    assert "DICOM" not in said(recognised.doubts)  # one kind of file alone is no doubt


def test_recognise__declares_no_split_or_group_that_its_table_does_not_name(tmp_path: Path) -> None:
    for n in range(12):
        Image.new("RGB", (70, 70), (n, 0, 0)).save(tmp_path / f"{n}.png")
    rows = [f"{n}.png,{'ab'[n % 2]},fold{n % 3}," for n in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,fold,patient", *rows]))
    found = recognise(tmp_path)
    assert found.options["label_column"] == "label"
    assert "split_column" not in found.options and "group_column" not in found.options
    assert any("fold1" in doubt for doubt in found.doubts)
