"""COCO: xywh becomes corners, one file per split or one for all, defects told by annotation."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import boxes_of, coco, picture, read, reported, splits_of, text

from graft.vision.errors import DataError

COCO = {"layout": "coco"}


def image(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 40, "height": 30, **more}


def box(image_id: Any, *xywh: float, category: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": image_id, "category_id": category, "bbox": list(xywh), **more}


def test_coco__turns_width_and_height_into_corners(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/b.jpg")
    annotations = [box(1, 2, 3, 10, 20), box(1, 0.5, 0, 1.25, 2, category=2)]
    coco(
        tmp_path / "annotations/instances.json", [image(1, "a.jpg"), image(2, "b.jpg")], annotations
    )
    reading = read(tmp_path, **COCO)
    assert boxes_of(reading) == {
        "images/a.jpg": [("ant", (2, 3, 12, 23)), ("bee", (0.5, 0, 1.75, 2))],
        "images/b.jpg": [],
    }
    stated = reading.rows[0].boxes
    assert stated is not None and stated.size_px == (40, 30)
    assert stated.boxes[0].row == "annotations/instances.json annotation 7"


@pytest.mark.parametrize(
    ("files", "images"),
    [
        ("{}/_annotations.coco.json", "{}/a.jpg"),
        ("annotations/instances_{}2017.json", "{}2017/a.jpg"),
        ("annotations/instances_{}.json", "images/{}/a.jpg"),
        ("{}.json", "{}/images/a.jpg"),
    ],
)
def test_coco__takes_splits_from_its_files(tmp_path: Path, files, images) -> None:
    for split, x in (("train", 1), ("val", 2), ("test", 3)):
        picture(tmp_path / images.format(split), seed=x)
        coco(tmp_path / files.format(split), [image(5, "a.jpg")], [box(5, x, 0, 9, 9)])
    reading = read(tmp_path, **COCO)
    assert splits_of(reading) == {images.format(s): s for s in ("train", "val", "test")}
    assert [boxes_of(reading)[images.format(s)][0][1][0] for s in ("train", "val", "test")] == [
        1,
        2,
        3,
    ]


def test_coco__reads_the_files_that_hold_boxes(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    only = [image(1, "a.jpg")]
    coco(tmp_path / "annotations/instances_train.json", only, [box(1, 0, 0, 9, 9)])
    coco(tmp_path / "annotations/person_keypoints_train.json", only, [box(1, 0, 0, 5, 5)])
    coco(tmp_path / "annotations/captions_train.json", only, [{"image_id": 1, "caption": "an ant"}])
    text(tmp_path / "annotations/other.json", "[1, 2]")
    assert boxes_of(read(tmp_path, **COCO))["a.jpg"] == [("ant", (0, 0, 9, 9))]
    named = read(tmp_path, **COCO, annotations=["annotations/person_keypoints_train.json"])
    assert boxes_of(named)["a.jpg"] == [("ant", (0, 0, 5, 5))]
    with pytest.raises(DataError, match=r"gone\.json is not in"):
        read(tmp_path, **COCO, annotations=["gone.json"])
    (tmp_path / "annotations/instances_train.json").unlink()
    (tmp_path / "annotations/person_keypoints_train.json").unlink()
    with pytest.raises(DataError, match="no COCO annotation with boxes"):
        read(tmp_path, **COCO)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"images": [], "annotations": 3}'])
def test_coco__refuses_files_that_are_none(tmp_path: Path, content) -> None:
    picture(tmp_path / "a.jpg")
    text(tmp_path / "x.json", content)
    with pytest.raises(DataError, match=r"x\.json"):
        read(tmp_path, **COCO, annotations=["x.json"])


def test_coco__tells_each_annotation_that_it_cannot_use(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    annotations: list[Any] = [
        box(1, 0, 0, -3, 9),
        box(1, "x", 0, 3, 9),
        box(1, 1, 2, 3),
        box(1, 10**400, 2, 3, 4),
        box(1, 0, 0, 9, 9, category=9),
        {"id": 3, "image_id": 1, "category_id": 1},
        box(99, 0, 0, 9, 9),
        "no record",
        box(1, 0, 0, 9, 9),
    ]
    coco(tmp_path / "all.json", [image(1, "a.jpg")], annotations)
    reading = read(tmp_path, **COCO)
    assert boxes_of(reading)["a.jpg"] == [("ant", (0, 0, 9, 9))]
    reasons = [reason for _, _, reason in reported(reading.left_out)]
    assert len(reasons) == len(annotations) - 1
    for words in ("negative size", "no numbers", "unknown category", "without a box"):
        assert any(words in reason for reason in reasons)
    assert sum("unknown image" in reason for reason in reasons) == 2


def test_coco__tells_images_that_are_missing_listed_twice_or_not_listed(tmp_path: Path) -> None:
    for name in ("a", "b", "extra"):
        picture(tmp_path / f"images/{name}.jpg")
    images = [image(1, "a.jpg"), image(2, "gone.jpg"), image(1, "b.jpg"), image(4, "a.jpg")]
    coco(tmp_path / "all.json", images, [box(2, 0, 0, 9, 9), box(1, 0, 0, 9, 9)])
    reading = read(tmp_path, **COCO)
    assert list(boxes_of(reading)) == ["images/a.jpg"]
    assert reported(reading.quarantine) == [
        ("gone.jpg", "all.json image 2", "the file is missing; bring it, or take its row out"),
        ("b.jpg", "all.json image 1", "the id of another image; number the images anew"),
    ]
    assert [file for file, _, _ in reported(reading.left_out)] == ["images/a.jpg"]
    assert any("2 images are listed in no annotation" in f for f in reading.findings)


def test_coco__leaves_an_image_of_two_splits_to_the_one_that_judges(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    for split in ("train", "test"):
        coco(tmp_path / f"{split}.json", [image(1, "a.jpg")], [box(1, 0, 0, 9, 9)])
    reading = read(tmp_path, **COCO)
    assert splits_of(reading) == {"images/a.jpg": "test"}
    assert "listed again" in reading.left_out[0]["reason"]


def test_coco__tells_of_empty_categories_and_crowds(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    annotations = [box(1, 0, 0, 9, 9), box(1, 0, 0, 30, 30, iscrowd=1)]
    coco(tmp_path / "all.json", [image(1, "a.jpg")], annotations, ("ant", "bee", "wasp"))
    reading = read(tmp_path, **COCO)
    assert len(boxes_of(reading)["a.jpg"]) == 1
    findings = " ".join(reading.findings)
    assert "2 categories have no box and are no class: bee, wasp" in findings
    assert "1 crowd regions" in findings


def test_coco__takes_the_box_of_polygons_where_none_is_stated(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    polygons = [[1, 2, 8, 2, 8, 9], [3, 3, 12, 4, 5, 5]]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": polygons},
        box(1, 0, 0, 1, 1),
    ]
    coco(tmp_path / "all.json", [image(1, "a.jpg")], annotations)
    assert boxes_of(read(tmp_path, **COCO))["a.jpg"][0] == ("ant", (1, 2, 12, 9))


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "C:\\x\\secret.jpg", "out.jpg"])
def test_coco__never_reaches_out_of_the_raw_folder(tmp_path: Path, name) -> None:
    picture(tmp_path / "secret.jpg")
    root = tmp_path / "raw"
    picture(root / "a.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    coco(root / "all.json", [image(1, name), image(2, "a.jpg")], [box(2, 0, 0, 9, 9)])
    reading = read(root, **COCO)
    assert list(boxes_of(reading)) == ["a.jpg"]
    assert name in [row["file"] for row in reading.quarantine]


def test_coco__finds_images_by_names_of_another_machine_and_says_so(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    coco(tmp_path / "all.json", [image(1, "/home/x/set/a.png")], [box(1, 0, 0, 9, 9)])
    reading = read(tmp_path, **COCO)
    assert list(boxes_of(reading)) == ["images/a.jpg"]
    assert any("another prefix and ending" in finding for finding in reading.findings)


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(st.integers(1, 2), *[st.floats(0, 1e4) for _ in range(4)]), min_size=1, max_size=5
    )
)
def test_coco__gives_back_what_was_written(tmp_path_factory, boxes) -> None:
    root = tmp_path_factory.mktemp("coco")
    picture(root / "a.png", 4, 4)
    coco(root / "x.json", [image(1, "a.png")], [box(1, *b, category=c) for c, *b in boxes])
    expected = [("ant" if c == 1 else "bee", (x, y, x + w, y + h)) for c, x, y, w, h in boxes]
    assert boxes_of(read(root, **COCO))["a.png"] == expected
