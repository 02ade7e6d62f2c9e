"""Pascal VOC: one row per annotated image, defects told by object, nothing outside reached."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import boxes_of, picture, read, reported, splits_of, text, voc, voc_object

from graft.vision.errors import DataError

VOC = {"layout": "voc"}


def pascal(root: Path, *names: str) -> Path:
    """Images and annotations in VOC's folders: one ant each."""
    for number, name in enumerate(names):
        picture(root / f"JPEGImages/{name}.jpg", seed=number)
        voc(root / f"Annotations/{name}.xml", voc_object("ant", 1, 2, 9, 12))
    return root


def test_voc__reads_classes_corners_and_the_stated_size(tmp_path: Path) -> None:
    pascal(tmp_path, "a")
    voc(
        tmp_path / "Annotations/a.xml",
        voc_object("ant", 1, 2, 9, 12),
        voc_object(" bee ", "3.5", 4, 5, "6.25"),
    )
    reading = read(tmp_path, **VOC)
    assert boxes_of(reading) == {
        "JPEGImages/a.jpg": [("ant", (1, 2, 9, 12)), ("bee", (3.5, 4, 5, 6.25))]
    }
    stated = reading.rows[0].boxes
    assert stated is not None and stated.size_px == (40, 30) and not stated.as_shares
    assert [box.row for box in stated.boxes] == [
        "Annotations/a.xml object 1",
        "Annotations/a.xml object 2",
    ]
    assert reading.rows[0].row == "Annotations/a.xml"


def test_voc__counts_from_one_where_it_is_told_to(tmp_path: Path) -> None:
    reading = read(pascal(tmp_path, "a"), **VOC, one_based=True)
    assert boxes_of(reading)["JPEGImages/a.jpg"] == [("ant", (0, 1, 9, 12))]


def test_voc__reads_images_without_objects_but_not_without_annotation(tmp_path: Path) -> None:
    pascal(tmp_path, "a", "b")
    voc(tmp_path / "Annotations/a.xml")
    (tmp_path / "Annotations/b.xml").unlink()
    reading = read(tmp_path, **VOC)
    assert boxes_of(reading) == {"JPEGImages/a.jpg": []}
    ((file, _, reason),) = reported(reading.quarantine)
    assert file == "JPEGImages/b.jpg" and "no annotation" in reason


@pytest.mark.parametrize("folder", ["", "train", "images"])
def test_voc__finds_annotations_beside_their_images(tmp_path: Path, folder) -> None:
    picture(tmp_path / folder / "a.png")
    voc(tmp_path / folder / "a.xml", voc_object("ant", 1, 2, 9, 12))
    reading = read(tmp_path, **VOC)
    assert len(reading.rows) == 1
    assert reading.rows[0].given_split == ("train" if folder == "train" else "")


def test_voc__keeps_equal_names_of_different_splits_apart(tmp_path: Path) -> None:
    for split, x in (("train", 1), ("val", 2)):
        picture(tmp_path / split / "a.png", seed=x)
        voc(tmp_path / split / "a.xml", voc_object("ant", x, 2, 9, 12))
    found = boxes_of(read(tmp_path, **VOC))
    assert found["train/a.png"][0][1][0] == 1 and found["val/a.png"][0][1][0] == 2


def test_voc__takes_splits_from_its_lists_and_names_what_is_in_none(tmp_path: Path) -> None:
    pascal(tmp_path, "a", "b", "c", "d")
    text(tmp_path / "ImageSets/Main/train.txt", "a\n")
    text(tmp_path / "ImageSets/Main/val.txt", "b\n\n")
    text(tmp_path / "ImageSets/Main/test.txt", "c\ngone\n")
    text(tmp_path / "ImageSets/Main/trainval.txt", "a\nb\n")
    text(tmp_path / "ImageSets/Main/ant_train.txt", "a  1\n")
    reading = read(tmp_path, **VOC)
    assert splits_of(reading) == {
        "JPEGImages/a.jpg": "train",
        "JPEGImages/b.jpg": "val",
        "JPEGImages/c.jpg": "test",
    }
    assert reported(reading.quarantine) == [
        (
            "gone",
            "ImageSets/Main/test.txt:2",
            "listed, but there is no such image; bring it or take its line out",
        )
    ]
    assert any("1 images stand in none of" in f and "d.jpg" in f for f in reading.findings)


def test_voc__takes_trainval_for_train_where_there_is_no_train(tmp_path: Path) -> None:
    pascal(tmp_path, "a", "b")
    text(tmp_path / "ImageSets/Main/trainval.txt", "a\n")
    text(tmp_path / "ImageSets/Main/test.txt", "b\n")
    assert set(splits_of(read(tmp_path, **VOC)).values()) == {"train", "test"}


def test_voc__leaves_an_image_of_two_lists_to_the_one_that_judges(tmp_path: Path) -> None:
    pascal(tmp_path, "a", "b")
    text(tmp_path / "ImageSets/Main/train.txt", "a\nb\n")
    text(tmp_path / "ImageSets/Main/test.txt", "a\n")
    reading = read(tmp_path, **VOC)
    assert splits_of(reading) == {"JPEGImages/a.jpg": "test", "JPEGImages/b.jpg": "train"}
    ((file, _, reason),) = reported(reading.left_out)
    assert file == "JPEGImages/a.jpg" and "kept in test" in reason


def test_voc__tells_each_object_that_it_cannot_read(tmp_path: Path) -> None:
    pascal(tmp_path, "a")
    voc(
        tmp_path / "Annotations/a.xml",
        "<object><name>ant</name></object>",
        voc_object("ant", "one", 2, 3, 4),
        voc_object("ant", 1, 2, 3),
        voc_object("ant", 1, 2, 3, 4),
    )
    reading = read(tmp_path, **VOC)
    assert len(boxes_of(reading)["JPEGImages/a.jpg"]) == 1
    assert [row for _, row, _ in reported(reading.left_out)] == [
        f"Annotations/a.xml object {n}" for n in (1, 2, 3)
    ]
    assert {file for file, _, _ in reported(reading.left_out)} == {"JPEGImages/a.jpg"}


@pytest.mark.parametrize(
    "broken",
    [
        "<annotation><object>",
        "<annotations></annotations>",
        "no xml",
        "",
        '<!DOCTYPE annotation SYSTEM "file:///etc/passwd"><annotation/>',
        '<!DOCTYPE a [<!ENTITY x "aaaa">]><annotation><filename>&x;</filename></annotation>',
    ],
)
def test_voc__refuses_an_annotation_that_it_cannot_read_with_its_image(tmp_path, broken) -> None:
    pascal(tmp_path, "a", "b")
    text(tmp_path / "Annotations/a.xml", broken)
    reading = read(tmp_path, **VOC)
    assert list(boxes_of(reading)) == ["JPEGImages/b.jpg"]
    ((file, row, reason),) = reported(reading.quarantine)
    assert (file, row) == ("JPEGImages/a.jpg", "Annotations/a.xml") and "cannot be read" in reason


def test_voc__refuses_annotations_without_an_image_and_second_ones(tmp_path: Path) -> None:
    pascal(tmp_path, "a")
    voc(tmp_path / "Annotations/gone.xml", voc_object("ant", 1, 2, 3, 4))
    voc(tmp_path / "more/a.xml", voc_object("ant", 5, 5, 9, 9))
    reading = read(tmp_path, **VOC)
    assert [file for file, _, _ in reported(reading.quarantine)] == ["Annotations/gone.xml"]
    assert [row for _, row, _ in reported(reading.left_out)] == ["more/a.xml"]


def test_voc__goes_by_the_own_name_of_an_annotation(tmp_path: Path) -> None:
    pascal(tmp_path, "a", "b")
    inside = "<filename>b.jpg</filename><path>/home/x/b.jpg</path>"
    voc(tmp_path / "Annotations/a.xml", voc_object("bee", 1, 2, 3, 4), more=inside)
    voc(tmp_path / "Annotations/0001.xml", more="<filename>../../etc/c.jpg</filename>")
    picture(tmp_path / "JPEGImages/c.jpg")
    reading = read(tmp_path, **VOC)
    assert boxes_of(reading)["JPEGImages/a.jpg"][0][0] == "bee"
    assert boxes_of(reading)["JPEGImages/c.jpg"] == []
    assert any("name another file inside" in finding for finding in reading.findings)


def test_voc__never_reaches_out_of_the_raw_folder(tmp_path: Path) -> None:
    picture(tmp_path / "secret.jpg")
    voc(tmp_path / "secret.xml", voc_object("ant", 1, 2, 3, 4))
    root = pascal(tmp_path / "raw", "a")
    voc(root / "Annotations/b.xml", more=f"<filename>{tmp_path}/secret.jpg</filename>")
    text(root / "ImageSets/Main/train.txt", "../secret.jpg\na\n")
    (root / "JPEGImages/link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "Annotations/secret.xml").symlink_to(tmp_path / "secret.xml")
    reading = read(root, **VOC)
    assert list(boxes_of(reading)) == ["JPEGImages/a.jpg"]
    assert {file for file, _, _ in reported(reading.quarantine)} == {
        "../secret.jpg",
        "JPEGImages/link.jpg",
        "Annotations/b.xml",
        "Annotations/secret.xml",
    }


def test_voc__tells_of_difficult_objects_and_of_sizes_not_stated(tmp_path: Path) -> None:
    pascal(tmp_path, "a")
    hard = voc_object("ant", 1, 2, 3, 4).replace("</object>", "<difficult>1</difficult></object>")
    voc(tmp_path / "Annotations/a.xml", hard, size=None)
    findings = " ".join(read(tmp_path, **VOC).findings)
    assert "1 objects are marked as difficult" in findings
    assert "1 annotations do not state their image's size" in findings


def test_voc__needs_something_to_read(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="no image with a label"):
        read(tmp_path, **VOC)


@settings(max_examples=60, deadline=None)
@given(
    objects=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=9),
            st.tuples(*[st.floats(-1e4, 1e4) for _ in range(4)]),
        ),
        max_size=5,
    )
)
def test_voc__gives_back_what_was_written(tmp_path_factory, objects) -> None:
    from xml.sax.saxutils import escape

    root = tmp_path_factory.mktemp("voc")
    picture(root / "a.png", 4, 4)
    voc(root / "a.xml", *(voc_object(escape(name), *box) for name, box in objects))
    assert boxes_of(read(root, **VOC))["a.png"] == [(n.strip(), box) for n, box in objects]
