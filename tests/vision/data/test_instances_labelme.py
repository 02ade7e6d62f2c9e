"""Instance masks and LabelMe polygons: boxes around objects, or one semantic mask."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import boxes_of, ingest, mask, picture, read, reported, splits_of, text, truths

from graft.vision.data.masks import IGNORED, open_masks
from graft.vision.data.polygons import bounds_of, draw_polygons, read_drawing
from graft.vision.errors import DataError, UnusableImageError

PEDESTRIANS = {"layout": "instances", "class_names": ["pedestrian"]}
LABELME = {"layout": "labelme"}


def penn_fudan(root: Path) -> Path:
    """Two people in one image, none in another."""
    picture(root / "PNGImages/a.png")
    picture(root / "PNGImages/b.png", seed=1)
    people = np.zeros((30, 40), np.uint8)
    people[2:9, 3:7], people[10:20, 30:40] = 1, 2
    mask(root / "PedMasks/a_mask.png", people)
    mask(root / "PedMasks/b_mask.png", np.zeros((30, 40), np.uint8))
    return root


def test_instances__become_boxes(tmp_path: Path) -> None:
    ingested = ingest(penn_fudan(tmp_path / "raw"), tmp_path, **PEDESTRIANS)
    found = truths(ingested)
    assert found["a.png"]["boxes_xyxy"] == [[3, 2, 7, 9], [30, 10, 40, 20]]
    assert found["a.png"]["classes"] == ["pedestrian", "pedestrian"]
    assert found["a.png"]["size_px"] == [40, 30]
    assert found["b.png"]["boxes_xyxy"] == found["b.png"]["classes"] == []


def test_instances__become_one_class_on_a_background(tmp_path: Path) -> None:
    options = {**PEDESTRIANS, "truth": "masks"}
    found = truths(ingest(penn_fudan(tmp_path / "raw"), tmp_path, **options))
    assert found["a.png"]["names"] == ["background", "pedestrian"]
    assert found["b.png"]["classes"] == ["background"]
    stored = open_masks(tmp_path / "pixels").read(found["a.png"]["mask_sha256"])
    assert set(np.unique(stored)) == {0, 1} and stored.sum() == 7 * 4 + 10 * 10


def test_instances__change_the_truth_with_any_byte_of_their_file(tmp_path: Path) -> None:
    root = penn_fudan(tmp_path / "raw")
    before = truths(ingest(root, tmp_path, **PEDESTRIANS))["a.png"]
    people = np.zeros((30, 40), np.uint8)
    people[2:9, 3:7], people[10:20, 30:40] = 1, 2
    people[4, 4] = 0  # inside: the boxes stay
    mask(root / "PedMasks/a_mask.png", people)
    after = truths(ingest(root, tmp_path, **PEDESTRIANS))["a.png"]
    assert before["boxes_xyxy"] == after["boxes_xyxy"] and before != after


def test_instances__need_one_name(tmp_path: Path) -> None:
    penn_fudan(tmp_path)
    for names in ([], ["a", "b"]):
        with pytest.raises(DataError, match="not named"):
            read(tmp_path, layout="instances", class_names=names)
    with pytest.raises(DataError, match="class for the rest"):
        read(tmp_path, **PEDESTRIANS, truth="masks", background=None)


# --- LabelMe -------------------------------------------------------------------------------------


def shape(label: Any, points: Any, kind: str = "polygon") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind}


def labelme(path: Path, *shapes: Any, size: tuple[Any, Any] = (40, 30), image: str = "") -> Path:
    record = {"shapes": list(shapes), "imageWidth": size[0], "imageHeight": size[1]}
    return text(path, json.dumps({**record, "imagePath": image, "imageData": None}))


SQUARE = [[2, 3], [12, 3], [12, 9], [2, 9]]


def test_labelme__becomes_boxes(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(
        tmp_path / "a.json",
        shape("ant", SQUARE),
        shape("bee", [[20, 20], [5, 25]], "rectangle"),
        shape("bee", [[20, 10], [23, 14]], "circle"),
    )
    assert boxes_of(read(tmp_path, **LABELME)) == {
        "a.jpg": [("ant", (2, 3, 12, 9)), ("bee", (5, 20, 20, 25)), ("bee", (15, 5, 25, 15))]
    }


def test_labelme__becomes_a_mask_in_the_order_drawn(tmp_path: Path) -> None:
    picture(tmp_path / "raw/a.jpg")
    labelme(
        tmp_path / "raw/a.json",
        shape("bee", SQUARE),
        shape("ant", [[10, 0], [39, 0], [39, 29], [10, 29]]),
        shape("void", [[30, 20], [39, 29]], "rectangle"),
    )
    told = truths(ingest(tmp_path / "raw", tmp_path, **LABELME, truth="masks"))["a.jpg"]
    assert told["names"] == ["background", "ant", "bee"] and told["mask"] == "a.json"
    stored = open_masks(tmp_path / "pixels").read(told["mask_sha256"])
    assert stored.shape == (30, 40)
    assert [stored[0, 0], stored[5, 5], stored[5, 11], stored[25, 35]] == [0, 2, 1, IGNORED]
    open_ended = {"truth": "masks", "background": None}
    told = truths(ingest(tmp_path / "raw", tmp_path, **LABELME, **open_ended))["a.jpg"]
    assert told["names"] == ["ant", "bee"]
    stored = open_masks(tmp_path / "pixels").read(told["mask_sha256"])
    assert stored[0, 0] == IGNORED


def test_labelme__tells_each_shape_that_it_cannot_use(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(
        tmp_path / "a.json",
        shape("ant", [[1, 1], [2, 2]]),
        shape("ant", [[1, 1]], "point"),
        shape("", SQUARE),
        shape("ant", [[1, "x"], [2, 2], [3, 3]]),
        shape("ant", None),
        "no record",
        shape("ant", [[1, 1], [2, 2], [3, 3]], "circle"),
        shape("ant", [[float("nan"), 1], [2, 2], [3, 3]]),
        shape("ant", [[10**400, 1], [2, 2], [3, 3]]),
        shape("ant", [[1e30, 1], [2, 2], [3, 3]]),
        shape("ant", SQUARE),
    )
    reading = read(tmp_path, **LABELME)
    assert len(boxes_of(reading)["a.jpg"]) == 1
    assert [row for _, row, _ in reported(reading.left_out)] == [
        f"a.json shape {n}" for n in range(1, 11)
    ]


def test_labelme__says_which_shapes_a_mask_cuts_off(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    labelme(tmp_path / "a.json", shape("ant", SQUARE), shape("ant", [[30, 5], [44, 5], [30, 9]]))
    findings = read(tmp_path, **LABELME, truth="masks").findings
    assert findings == ["1 shapes reach beyond their image and are cut off: a.json shape 2"]


def test_labelme__reads_the_web_tools_files(tmp_path: Path) -> None:
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in SQUARE)
    text(
        tmp_path / "Annotations/users/a.xml",
        "<annotation><filename>a.jpg</filename><folder>users</folder>"
        f"<object><name>ant</name><deleted>0</deleted><polygon>{points}</polygon></object>"
        f"<object><name>bee</name><deleted>1</deleted><polygon>{points}</polygon></object>"
        "<object><name>bee</name><segm><box><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>8</ymax></box><mask>a_mask_0.png</mask></segm></object>"
        "<imagesize><nrows>30</nrows><ncols>40</ncols></imagesize></annotation>",
    )
    picture(tmp_path / "Images/users/a.jpg")
    picture(tmp_path / "Masks/users/a_mask_0.png")
    reading = read(tmp_path, **LABELME)
    assert boxes_of(reading) == {
        "Images/users/a.jpg": [("ant", (2, 3, 12, 9)), ("bee", (1, 2, 9, 8))]
    }
    reading = read(tmp_path, **LABELME, truth="masks")
    assert reading.rows[0].mask == "Annotations/users/a.xml"
    assert "pixels lie in another file" in reading.left_out[0]["reason"]


def test_labelme__refuses_files_that_are_none_with_their_image(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    text(tmp_path / "a.json", "{}")
    labelme(tmp_path / "b.json", shape("ant", SQUARE))
    text(tmp_path / "gone.json", "[")
    reading = read(tmp_path, **LABELME)
    assert list(boxes_of(reading)) == ["b.jpg"]
    assert {file for file, _, _ in reported(reading.quarantine)} == {"a.jpg", "c.jpg", "gone.json"}


def test_labelme__takes_splits_from_folders_and_never_reaches_out(tmp_path: Path) -> None:
    picture(tmp_path / "secret.jpg")
    root = tmp_path / "raw"
    for split in ("train", "test"):
        picture(root / split / "a.jpg")
        labelme(root / split / "a.json", shape("ant", SQUARE), image="../../secret.jpg")
    labelme(root / "secret.json", shape("ant", SQUARE), image="../secret.jpg")
    reading = read(root, **LABELME)
    assert splits_of(reading) == {"train/a.jpg": "train", "test/a.jpg": "test"}
    assert [file for file, _, _ in reported(reading.quarantine)] == ["secret.json"]


def test_labelme__refuses_masks_without_a_size_or_of_another_one(tmp_path: Path) -> None:
    sizes = [(0, 0), (41, 30), (40, 30), (1e6, 1e6), (10**308, 10**308), (10**400, 30)]
    for name, size in zip("abcdef", sizes, strict=True):
        picture(tmp_path / f"raw/{name}.jpg")
        labelme(tmp_path / f"raw/{name}.json", shape("ant", SQUARE), size=size)
    ingested = ingest(tmp_path / "raw", tmp_path, **LABELME, truth="masks")
    assert list(truths(ingested)) == ["c.jpg"]
    reasons = dict(zip(ingested.quarantine["file"], ingested.quarantine["reason"], strict=True))
    assert "without the image's size" in reasons["a.jpg"]
    assert "another size than the image" in reasons["b.jpg"]
    assert "too many pixels" in reasons["d.jpg"] and "too many pixels" in reasons["e.jpg"]
    assert "without the image's size" in reasons["f.jpg"]


@settings(max_examples=60, deadline=None)
@given(
    corners=st.tuples(
        st.integers(0, 15), st.integers(0, 10), st.integers(1, 20), st.integers(1, 15)
    )
)
def test_polygons__cover_the_box_around_them(corners) -> None:
    x, y, wide, high = corners
    square = [[x, y], [x + wide, y], [x + wide, y + high], [x, y + high]]
    record = {"shapes": [shape("ant", square)], "imageWidth": 40, "imageHeight": 30}
    data = json.dumps(record).encode()
    assert bounds_of(read_drawing(data).shapes[0]) == (x, y, x + wide, y + high)
    ys, xs = np.nonzero(draw_polygons(data, ("background", "ant"), 10_000))
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (x, y, x + wide, y + high)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=80), start=st.sampled_from([b"", b"{", b"<annotation>", b"[[["]))
def test_polygons__refuse_damaged_files_and_raise_nothing_else(data, start) -> None:
    with pytest.raises(UnusableImageError):
        draw_polygons(start + data, ("ant",), 10_000)
