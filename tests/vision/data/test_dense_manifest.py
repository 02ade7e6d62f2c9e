"""Boxes and masks in the manifest: held against each image, hashed each time, defects reported."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_sets import coco, ingest, mask, picture, reported, text, truths, turned, voc, voc_object

from graft.vision.data import mask_pass
from graft.vision.data.masks import open_masks
from graft.vision.data.near_copies import PAIR_COLUMNS
from graft.vision.data.options import SplitOptions
from graft.vision.data.quality import quality_report
from graft.vision.data.shared_names import find_shared_names, leading_part
from graft.vision.data.splits import split_manifest
from graft.vision.data.truths import truth_in_words
from graft.vision.errors import DataError
from graft.vision.records import MANIFEST_COLUMNS, QUARANTINE_COLUMNS, data_digest

VOC = {"layout": "voc"}
MASKS = {"layout": "masks", "class_names": ["sky", "road", "car"]}


def boxes(root: Path, *objects: str, count: int = 1) -> Path:
    """Images with an ant each; the first one with these objects."""
    for number in range(count):
        picture(root / f"{number}.png", seed=number)
        voc(root / f"{number}.xml", *(objects if number == 0 else [voc_object("ant", 1, 2, 9, 9)]))
    return root


def masks(root: Path, count: int = 3) -> Path:
    """Images whose masks hold sky and one class more."""
    for number in range(count):
        picture(root / f"images/{number}.png", seed=number)
        values = np.zeros((30, 40), np.uint8)
        values[:9] = 1 + number % 2
        mask(root / f"masks/{number}.bmp", values)
    return root


# --- boxes ---------------------------------------------------------------------------------------


def test_manifest__holds_boxes_of_the_upright_image(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("ant", 1, 2, 9, 12), voc_object("bee", 0, 0, 40, 30))
    ingested = ingest(root, tmp_path, **VOC)
    assert list(ingested.manifest.columns) == list(MANIFEST_COLUMNS)
    assert truths(ingested)["0.png"] == {
        "boxes_xyxy": [[1, 2, 9, 12], [0, 0, 40, 30]],
        "classes": ["ant", "bee"],
        "size_px": [40, 30],
    }
    assert ingested.findings == [] and len(ingested.quarantine) == 0


def test_manifest__leaves_a_bad_box_out_and_keeps_its_image(tmp_path: Path) -> None:
    root = boxes(
        tmp_path / "raw",
        voc_object("ant", 5, 5, 5, 5),
        voc_object("ant", 1, 2, 9, 12),
        voc_object("ant", 50, 50, 60, 60),
        voc_object("ant", 9, 9, 3, 3),
        voc_object("ant", "nan", 9, 3, 3),
        voc_object("ant", "x", 9, 3, 3),
    )
    ingested = ingest(root, tmp_path, **VOC)
    assert truths(ingested)["0.png"]["boxes_xyxy"] == [[1, 2, 9, 12]]
    assert list(ingested.quarantine.columns) == list(QUARANTINE_COLUMNS)
    assert sorted(reported(ingested.quarantine)) == [
        ("0.png", "0.xml object 1", "box without area"),
        ("0.png", "0.xml object 3", "box outside the image"),
        ("0.png", "0.xml object 4", "box with swapped corners"),
        ("0.png", "0.xml object 5", "box with corners that are not finite"),
        ("0.png", "0.xml object 6", "box with corners that are no numbers; correct them"),
    ]
    assert any("5 objects are left out, 1 boxes are used" in f for f in ingested.findings)


def test_manifest__clips_boxes_and_says_by_how_much(tmp_path: Path) -> None:
    ingested = ingest(boxes(tmp_path / "raw", voc_object("ant", -4, 2, 9, 31)), tmp_path, **VOC)
    assert truths(ingested)["0.png"]["boxes_xyxy"] == [[0, 2, 9, 30]]
    ((finding),) = ingested.findings
    assert "1 boxes reach beyond their image, by up to 4 px" in finding and "object 1" in finding
    assert len(ingested.quarantine) == 0


def test_manifest__leaves_out_classes_that_are_not_named(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("ants", 1, 2, 9, 9), voc_object("ant", 1, 2, 9, 9))
    ingested = ingest(root, tmp_path, **VOC, class_names=["ant", "bee"])
    assert truths(ingested)["0.png"]["classes"] == ["ant"]
    assert "did you mean 'ant'" in ingested.quarantine["reason"][0]


def test_manifest__stops_when_too_many_boxes_are_bad_and_not_for_a_few(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("ant", 5, 5, 5, 5), count=12)
    assert len(ingest(root, tmp_path, share=0.1, **VOC).manifest) == 12
    wrong_unit = [voc_object("ant", n * 100, 200, n * 100 + 50, 900) for n in range(1, 9)]
    root = boxes(tmp_path / "other", *wrong_unit, count=12)
    with pytest.raises(DataError, match=r"8 of 19 boxes .* cannot be used.*0\.xml object 1"):
        ingest(root, tmp_path, share=0.1, **VOC)


def test_manifest__refuses_an_image_that_was_annotated_at_another_size(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("ant", 1, 2, 9, 9), count=2)
    voc(root / "0.xml", voc_object("ant", 1, 2, 9, 9), size=(80, 60))
    ingested = ingest(root, tmp_path, **VOC)
    assert list(truths(ingested)) == ["1.png"]
    ((file, row, reason),) = reported(ingested.quarantine)
    assert (file, row) == ("0.png", "0.xml") and "another size" in reason


@pytest.mark.parametrize("orientation", range(2, 9))
def test_manifest__turns_boxes_drawn_on_the_stored_image(tmp_path: Path, orientation) -> None:
    """The box stays on the bright patch that it was drawn around."""
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[4:10, 6:20] = 255
    (tmp_path / "raw").mkdir()
    Image.fromarray(stored).save(tmp_path / "raw/0.png", exif=turned(orientation))
    voc(tmp_path / "raw/0.xml", voc_object("ant", 6, 4, 20, 10), size=(40, 30))
    ingested = ingest(tmp_path / "raw", tmp_path, **VOC)
    told = truths(ingested)["0.png"]
    turns = orientation >= 5
    assert told["size_px"] == ([30, 40] if turns else [40, 30])
    if not turns:  # the size does not tell: taken as drawn upright, and said so
        assert told["boxes_xyxy"] == [[6, 4, 20, 10]]
        assert any("does not tell" in finding for finding in ingested.findings)
        return
    upright = np.asarray(Image.open(tmp_path / "raw/0.png").transpose(_turn(orientation)))
    ys, xs = np.nonzero(upright[:, :, 0])
    expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert told["boxes_xyxy"] == [expected]
    assert any("drawn before, with them" in finding for finding in ingested.findings)


def _turn(orientation: int) -> Image.Transpose:
    turn = Image.Transpose
    return {5: turn.TRANSPOSE, 6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90}[
        orientation
    ]


def test_digest__changes_with_one_corner_of_one_box(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("ant", 1, 2, 9, 9), count=3)
    before = data_digest(ingest(root, tmp_path, **VOC).manifest)
    again = ingest(root, tmp_path, **VOC)
    assert data_digest(again.manifest) == before and again.decoded == 0
    voc(root / "0.xml", voc_object("ant", 1, 2, 9, 10))
    assert data_digest(ingest(root, tmp_path, **VOC).manifest) != before


# --- masks ---------------------------------------------------------------------------------------


def test_manifest__holds_masks_by_the_digest_of_their_bytes(tmp_path: Path) -> None:
    ingested = ingest(masks(tmp_path / "raw"), tmp_path, **MASKS)
    told = truths(ingested)["1.png"]
    assert told == {
        "mask": "masks/1.bmp",
        "mask_sha256": told["mask_sha256"],
        "names": ["sky", "road", "car"],
        "ignored": 255,
        "classes": ["sky", "car"],
        "size_px": [40, 30],
    }
    store = open_masks(tmp_path / "pixels")
    stored = store.read(told["mask_sha256"])
    assert stored.dtype == np.uint8 and stored.shape == (30, 40)
    assert (stored[:9] == 2).all() and (stored[9:] == 0).all()
    words = json.loads(truth_in_words(json.dumps(told), store))
    assert words["names"] == told["names"] and words["png"]


def test_digest__changes_with_any_byte_of_a_mask_and_only_that_one_is_read_again(
    tmp_path: Path, monkeypatch
) -> None:
    root = masks(tmp_path / "raw")
    before = ingest(root, tmp_path, **MASKS).manifest
    decoded = []
    read_mask = mask_pass.read_mask
    monkeypatch.setattr(
        mask_pass, "read_mask", lambda *args: decoded.append(args) or read_mask(*args)
    )
    assert data_digest(ingest(root, tmp_path, **MASKS).manifest) == data_digest(before)
    assert decoded == []
    last = root / "masks/2.bmp"
    data = bytearray(last.read_bytes())
    data[6] ^= 1  # a byte that says nothing about pixels
    last.write_bytes(data)
    after = ingest(root, tmp_path, **MASKS).manifest
    assert data_digest(after) != data_digest(before) and len(decoded) == 1
    differ = before["truth"].to_numpy() != after["truth"].to_numpy()
    assert list(before["id"][differ]) == ["images/2.png"]


def test_manifest__reads_masks_anew_under_another_rule(tmp_path: Path) -> None:
    root = masks(tmp_path / "raw")
    one = truths(ingest(root, tmp_path, **MASKS))["1.png"]
    other = {**MASKS, "ignored_classes": ["road"]}
    two = truths(ingest(root, tmp_path, **other))["1.png"]
    assert one["mask_sha256"] != two["mask_sha256"] and two["names"] == ["sky", "car"]
    store = open_masks(tmp_path / "pixels")
    assert store.read(one["mask_sha256"])[0, 0] == 2 and store.read(two["mask_sha256"])[0, 0] == 1


def test_manifest__refuses_images_whose_mask_cannot_be_used_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    root = masks(tmp_path / "raw", 5)
    mask(root / "masks/0.bmp", np.full((30, 40), 9, np.uint8))
    mask(root / "masks/1.bmp", np.zeros((30, 41), np.uint8))
    (root / "masks/2.bmp").write_bytes(b"no mask")
    mask(root / "masks/3.bmp", np.full((30, 40), 255, np.uint8))
    for _ in range(2):  # what was refused once stays refused, with its reason
        ingested = ingest(root, tmp_path, **MASKS)
        assert list(truths(ingested)) == ["3.png", "4.png"]
        reasons = dict(zip(ingested.quarantine["file"], ingested.quarantine["reason"], strict=True))
        assert "a mask with values that name no class (9)" in reasons["images/0.png"]
        rows = dict(zip(ingested.quarantine["file"], ingested.quarantine["row"], strict=True))
        assert rows["images/0.png"] == "masks/0.bmp"
        assert "41x30, the image 40x30" in reasons["images/1.png"]
        assert "cannot be decoded" in reasons["images/2.png"]
        assert truths(ingested)["3.png"]["classes"] == []
        assert any("1 masks hold no judged pixel" in f for f in ingested.findings)


def test_manifest__says_when_a_mask_lies_as_the_image_is_stored(tmp_path: Path) -> None:
    root = masks(tmp_path / "raw", 2)
    picture(root / "images/0.png", exif=turned(6))
    ingested = ingest(root, tmp_path, **MASKS)
    assert list(truths(ingested)) == ["1.png"]
    assert "turned upright by EXIF orientation 6" in ingested.quarantine["reason"][0]


# --- splits and the report -----------------------------------------------------------------------


def test_splits__take_images_without_objects(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for number in range(30):
        picture(root / f"{number}.png", seed=number)
        name = ("ant", "bee", None)[number % 3]
        voc(root / f"{number}.xml", *([voc_object(name, 1, 2, 9, 9)] * 2 if name else []))
    ingested = ingest(root, tmp_path, **VOC)
    pairs = pd.DataFrame(columns=PAIR_COLUMNS)
    splitting = split_manifest(ingested.manifest, pairs, SplitOptions())
    rows = splitting.split_manifest
    assert len(rows) == 30
    empty = rows[rows["truth"].str.contains('"classes": []', regex=False)]
    assert len(empty) == 10 and set(empty["split"]) == {"train", "val", "test"}
    report = quality_report(
        ingested.manifest, ingested.quarantine, pairs, rows, splitting.leaks, ingested.findings
    )
    assert report["images_without_objects"] == 10
    assert sum(report["classes"]["ant"].values()) + 10 == 20  # the second box is the same again
    assert sum(report["boxes"]["ant"].values()) == 10
    assert report["quarantined_of_used_images"] == report["quarantined"] == 20
    assert report["quarantine_reasons"] == {"box stated twice": 20}
    assert json.loads(json.dumps(report)) == report


def test_quality_report__compares_copies_by_what_they_say(tmp_path: Path) -> None:
    root = boxes(tmp_path / "raw", voc_object("bee", 1, 2, 9, 9), count=3)
    (root / "1.png").write_bytes((root / "0.png").read_bytes())
    voc(root / "1.xml", voc_object("bee", 1, 2, 9, 12))
    ingested = ingest(root, tmp_path, **VOC)
    pairs = pd.DataFrame(
        [("0.png", "1.png", "exact"), ("0.png", "2.png", "near")], columns=["id_a", "id_b", "kind"]
    )
    for column in PAIR_COLUMNS:
        pairs[column] = pairs.get(column, "")
    rows = ingested.manifest.assign(split="train", cluster="")
    report = quality_report(ingested.manifest, ingested.quarantine, pairs, rows, pairs[:0], [])
    assert [pair["kind"] for pair in report["copies_with_other_truth"]] == ["exact", "near"]
    voc(root / "1.xml", voc_object("bee", 1, 2, 9, 9))
    voc(root / "2.xml", voc_object("bee", 5, 5, 9, 9))
    ingested = ingest(root, tmp_path, **VOC)
    report = quality_report(ingested.manifest, ingested.quarantine, pairs, rows, pairs[:0], [])
    assert report["copies_with_other_truth"] == []


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train/0016E5_07959.png", "0016E5"),
        ("00000013_001.png", "00000013"),
        ("IMG_2041.jpg", ""),
        ("Blood-Image_00.jpg", ""),
        ("0001.png", ""),
        ("p7 left.png", "p7"),
    ],
)
def test_leading_part__is_what_may_name_a_series(name, part) -> None:
    assert leading_part(name) == part


def listed(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "given_split", "group"])


def test_shared_names__tell_a_drive_on_two_sides() -> None:
    rows = [(f"train/d{n % 2}_{n}.png", "train", "") for n in range(8)]
    rows += [(f"val/d1_{n}.png", "val", "") for n in range(20, 23)]
    ((finding),) = find_shared_names(listed(*rows))
    assert "7 images" in finding and "d1 (train 4, val 3)" in finding
    assert "d0" not in finding and "group_pattern" in finding


def test_shared_names__are_silent_without_splits_with_groups_or_with_plain_counters() -> None:
    assert find_shared_names(listed(("a1_1.png", "", ""), ("a1_2.png", "", ""))) == []
    grouped = [(f"{s}/d1_{n}.png", s, "d1") for n in range(5) for s in ("train", "val")]
    assert find_shared_names(listed(*grouped)) == []
    counted = [(f"{s}/{n:03d}_x.png", s, "") for n in range(50) for s in ("train", "val")]
    assert find_shared_names(listed(*counted)) == []


# --- real data -----------------------------------------------------------------------------------


def test_bccd__shows_its_two_boxes_without_area(real_data: Path, tmp_path: Path) -> None:
    ingested = ingest(real_data / "bccd", tmp_path, share=0.1, layout="voc", folder="BCCD")
    assert len(ingested.manifest) == 364
    told = truths(ingested)
    counts = pd.Series(
        [name for truth in told.values() for name in truth["classes"]]
    ).value_counts()
    assert dict(counts) == {"RBC": 4153, "WBC": 372, "Platelets": 361}
    assert sorted(reported(ingested.quarantine)) == [
        (
            f"BCCD/JPEGImages/BloodImage_{number}.jpg",
            f"BCCD/Annotations/BloodImage_{number}.xml object {place}",
            "box without area",
        )
        for number, place in (("00338", 13), ("00343", 4))
    ]
    splits = ingested.manifest["given_split"].value_counts()
    assert dict(splits) == {"train": 205, "val": 87, "test": 72}
    table = truths(ingest(real_data / "bccd", tmp_path, share=0.1, layout="boxes_csv"))
    assert {name: sorted(truth["boxes_xyxy"]) for name, truth in table.items()} == {
        name: sorted(truth["boxes_xyxy"]) for name, truth in told.items()
    }


def test_car_coco__shows_its_empty_category(real_data: Path, tmp_path: Path) -> None:
    ingested = ingest(real_data / "car_coco", tmp_path, share=0.1, layout="coco")
    splits = ingested.manifest["given_split"].value_counts()
    assert dict(splits) == {"train": 941, "val": 300, "test": 100}
    assert any("1 categories have no box and are no class: cdf" in f for f in ingested.findings)
    val = ingested.manifest[ingested.manifest["given_split"] == "val"]
    assert not any("front" in json.loads(told)["classes"] for told in val["truth"])


def test_camvid__shows_its_prefixes_and_its_leaking_drive(real_data: Path, tmp_path: Path) -> None:
    options = {"layout": "masks", "folder": "CamVid", "convention": "camvid"}
    ingested = ingest(real_data / "camvid", tmp_path, share=0.1, **options)
    assert len(ingested.manifest) == 701 and len(ingested.quarantine) == 0
    findings = " ".join(ingested.findings)
    assert "train.txt: 367 lines name images with another prefix and ending" in findings
    assert "/SegNet/CamVid/train/0001TP_006690.png is CamVid/train/0001TP_006690.jpg" in findings
    assert "0016E5 (train 204, val 101)" in findings
    present = {name for told in truths(ingested).values() for name in told["classes"]}
    assert len(present) == 11 and "void" not in present
    grouped = ingest(real_data / "camvid", tmp_path, **options, group_pattern=r"([^/_]+)_\d+\.\w+$")
    pairs = pd.DataFrame(columns=PAIR_COLUMNS)
    with pytest.raises(DataError, match="leaks too much"):
        split_manifest(grouped.manifest, pairs, SplitOptions())
    splitting = split_manifest(grouped.manifest, pairs, SplitOptions(withheld_share_max=1.0))
    leaks = splitting.leaks
    drive = leaks[leaks["id"].str.contains("0016E5")]
    assert len(drive) == 204 and set(drive["other_split"]) == {"val"}
    assert set(drive["why"]) == {"the same group or a chain of copies"}


def test_street_scenes__are_read_for_boxes_and_masks(tmp_path: Path) -> None:
    for split in ("train", "test"):
        picture(tmp_path / f"scenes/{split}/images/{split}1.jpg")
        mask(tmp_path / f"scenes/{split}/masks/{split}1.png", np.ones((30, 40), np.uint8))
        images = [{"id": 1, "file_name": f"{split}1.jpg", "width": 40, "height": 30}]
        annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
        coco(tmp_path / f"scenes/{split}.json", images, annotations, ("vehicle",))
    text(tmp_path / "scenes/classes.txt", "background\nroad\n")
    boxes_told = ingest(tmp_path, tmp_path / "out", layout="coco", folder="scenes")
    masks_told = ingest(tmp_path, tmp_path / "out", layout="masks", folder="scenes")
    for ingested in (boxes_told, masks_told):
        assert set(ingested.manifest["given_split"]) == {"train", "test"}
        assert ingested.findings == [] and len(ingested.quarantine) == 0
    assert truths(masks_told)["train1.jpg"]["classes"] == ["road"]
