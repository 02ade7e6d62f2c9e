"""YOLO: shares become boxes, data.yaml or folders give splits, defects are told by line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import boxes_of, picture, read, reported, splits_of, text

from graft.vision.errors import DataError

YOLO = {"layout": "yolo"}
ANT = "0 0.5 0.5 0.2 0.4\n"


def sheet(root: Path, more: str = "", names: str = "[ant, bee]") -> Path:
    return text(root / "data.yaml", f"names: {names}\n{more}")


def labelled(root: Path, image: str, label: str, content: str = ANT) -> None:
    picture(root / image, seed=len(image))
    text(root / label, content)


def test_yolo__reads_boxes_and_the_boxes_of_polygons(tmp_path: Path) -> None:
    sheet(tmp_path)
    lines = "1 0.5 0.5 0.2 0.4\n0 0.1 0.2 0.5 0.1 0.3 0.9\n\n"
    labelled(tmp_path, "images/a.jpg", "labels/a.txt", lines)
    reading = read(tmp_path, **YOLO)
    assert boxes_of(reading)["images/a.jpg"] == [
        ("bee", pytest.approx((0.4, 0.3, 0.6, 0.7))),
        ("ant", (0.1, 0.1, 0.5, 0.9)),
    ]
    stated = reading.rows[0].boxes
    assert stated is not None and stated.as_shares
    assert stated.boxes[1].row == "labels/a.txt line 2"


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}/images/a.jpg", "{}/labels/a.txt"),
        ("images/{}/a.jpg", "labels/{}/a.txt"),
        ("{}/a.jpg", "{}/a.txt"),
    ],
)
@pytest.mark.parametrize("stated", [True, False])
def test_yolo__finds_splits_by_its_sheet_or_by_folders(
    tmp_path: Path, image, label, stated
) -> None:
    places = {"train": "train", "val": "valid"}
    more = "".join(f"{k}: ../{Path(image.format(v)).parent}\n" for k, v in places.items())
    sheet(tmp_path, more if stated else "")
    for split, x in (("train", 0), ("valid", 1)):
        labelled(tmp_path, image.format(split), label.format(split), f"{x} 0.5 0.5 0.2 0.2\n")
    reading = read(tmp_path, **YOLO)
    assert splits_of(reading) == {image.format("train"): "train", image.format("valid"): "val"}
    found = boxes_of(reading)
    assert found[image.format("train")][0][0] == "ant"
    assert found[image.format("valid")][0][0] == "bee"


def test_yolo__finds_a_folder_that_its_sheet_names_otherwise(tmp_path: Path) -> None:
    sheet(tmp_path, "train: ../train/images\nval: ../valid/images\n")
    labelled(tmp_path, "train/images/a.jpg", "train/labels/a.txt")
    labelled(tmp_path, "val/images/b.jpg", "val/labels/b.txt")
    reading = read(tmp_path, **YOLO)
    assert splits_of(reading) == {"train/images/a.jpg": "train", "val/images/b.jpg": "val"}
    assert any("names ../valid/images, found as val/images" in f for f in reading.findings)


def test_yolo__says_which_folder_is_not_there_and_which_images_are_not_used(tmp_path) -> None:
    sheet(tmp_path, "train: images/train\nval: images/gone\n")
    labelled(tmp_path, "images/train/a.jpg", "labels/train/a.txt")
    labelled(tmp_path, "images/more/b.jpg", "labels/more/b.txt")
    reading = read(tmp_path, **YOLO)
    assert list(splits_of(reading)) == ["images/train/a.jpg"]
    findings = " ".join(reading.findings)
    assert "val names images/gone, which is not there" in findings
    assert "1 images lie in no folder that data.yaml names" in findings


def test_yolo__reads_lists_and_names_of_darknet(tmp_path: Path) -> None:
    text(tmp_path / "obj.names", "ant\nbee\n")
    text(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\n")
    text(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n")
    text(tmp_path / "valid.txt", "data/obj_train_data/b.jpg\n")
    for name in "abc":
        labelled(tmp_path, f"obj_train_data/{name}.jpg", f"obj_train_data/{name}.txt")
    reading = read(tmp_path, **YOLO)
    assert splits_of(reading) == {"obj_train_data/a.jpg": "train", "obj_train_data/b.jpg": "val"}
    findings = " ".join(reading.findings)
    assert "another prefix" in findings and "1 images stand in none of" in findings


@pytest.mark.parametrize("names", ["{0: ant, 1: bee}", "[ant, bee]"])
def test_yolo__takes_names_as_list_or_by_number(tmp_path: Path, names) -> None:
    sheet(tmp_path, names=names)
    labelled(tmp_path, "a.jpg", "a.txt", "1 0.5 0.5 0.2 0.2\n")
    assert boxes_of(read(tmp_path, **YOLO))["a.jpg"][0][0] == "bee"
    named = read(tmp_path, **YOLO, class_names=["x", "y"])
    assert boxes_of(named)["a.jpg"][0][0] == "y"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("names: {1: ant, 2: bee}", "not numbered from 0"),
        ("names: [ant]\nnc: 3", "names 1 classes and counts 3"),
        ("names: ant", "names are no list"),
        ("names: [[ant]]", "no words"),
        ("names: {ant: 0}", "not numbered from 0"),
        ("names: [ant\n", "no sound YAML"),
    ],
)
def test_yolo__refuses_a_sheet_that_contradicts_itself(tmp_path: Path, content, words) -> None:
    text(tmp_path / "data.yaml", content)
    labelled(tmp_path, "a.jpg", "a.txt")
    with pytest.raises(DataError, match=words):
        read(tmp_path, **YOLO)


def test_yolo__needs_names(tmp_path: Path) -> None:
    labelled(tmp_path, "a.jpg", "a.txt")
    with pytest.raises(DataError, match=r"no class names.*class_names"):
        read(tmp_path, **YOLO)


def test_yolo__takes_images_without_a_text_file_as_empty_and_says_so(tmp_path: Path) -> None:
    sheet(tmp_path)
    labelled(tmp_path, "images/a.jpg", "labels/a.txt")
    labelled(tmp_path, "images/b.jpg", "labels/b.txt", "")
    picture(tmp_path / "images/c.jpg")
    reading = read(tmp_path, **YOLO)
    assert {path: len(boxes) for path, boxes in boxes_of(reading).items()} == {
        "images/a.jpg": 1,
        "images/b.jpg": 0,
        "images/c.jpg": 0,
    }
    assert any("1 images have no text file" in finding for finding in reading.findings)


def test_yolo__tells_each_line_that_it_cannot_use(tmp_path: Path) -> None:
    sheet(tmp_path)
    lines = [
        "2 0.5 0.5 0.1 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "0.5 0.5 0.5 0.1 0.1",
        "ant 0.5 0.5 0.1 0.1",
        "0 0.5 0.5 -0.1 0.1",
        "0 0.5 0.5 0.1",
        "0 0.5 0.5 0.1 0.1 0.9",
        "nan 0.5 0.5 0.1 0.1",
        "0 0.5 0.5 0.1 0.1",
    ]
    labelled(tmp_path, "a.jpg", "a.txt", "\n".join(lines))
    reading = read(tmp_path, **YOLO)
    assert len(boxes_of(reading)["a.jpg"]) == 1
    assert [row for _, row, _ in reported(reading.left_out)] == [
        f"a.txt line {n}" for n in range(1, 9)
    ]
    assert all("correct it" in row["reason"] for row in reading.left_out)


def test_yolo__refuses_text_files_without_an_image_and_unreadable_ones(tmp_path: Path) -> None:
    sheet(tmp_path)
    labelled(tmp_path, "images/a.jpg", "labels/a.txt")
    labelled(tmp_path, "images/b.jpg", "labels/b.txt")
    (tmp_path / "labels/b.txt").write_bytes(b"\xff\xfe0 \x00")
    text(tmp_path / "labels/gone.txt", ANT)
    text(tmp_path / "README.txt", "about")
    reading = read(tmp_path, **YOLO)
    assert list(boxes_of(reading)) == ["images/a.jpg"]
    assert {file for file, _, _ in reported(reading.quarantine)} == {
        "labels/gone.txt",
        "images/b.jpg",
    }


def test_yolo__never_reaches_out_of_the_raw_folder(tmp_path: Path) -> None:
    labelled(tmp_path, "out/images/s.jpg", "out/labels/s.txt")
    root = tmp_path / "raw"
    sheet(root, "path: /\ntrain: ../out/images\nval: images\n")
    labelled(root, "images/a.jpg", "labels/a.txt")
    picture(root / "images/s.jpg")
    (root / "labels/s.txt").symlink_to(tmp_path / "out/labels/s.txt")
    reading = read(root, **YOLO)
    assert set(boxes_of(reading)) == {"images/a.jpg"}
    (refused,) = reported(reading.quarantine)
    assert refused == (
        "images/s.jpg",
        "labels/s.txt",
        "text file that cannot be read: a link that leaves the raw folder; bring the file itself",
    )


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(st.tuples(st.integers(0, 1), *[st.floats(0, 1) for _ in range(4)]), max_size=5)
)
def test_yolo__gives_back_what_was_written(tmp_path_factory, boxes) -> None:
    root = tmp_path_factory.mktemp("yolo")
    sheet(root)
    picture(root / "a.png", 4, 4)
    text(root / "a.txt", "\n".join(" ".join(map(str, box)) for box in boxes))
    expected = [
        (("ant", "bee")[c], (x - w / 2, y - h / 2, x + w / 2, y + h / 2)) for c, x, y, w, h in boxes
    ]
    assert boxes_of(read(root, **YOLO))["a.png"] == expected
