"""Mask folders: pairs by folders and names, names by table or convention, splits by lists."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import ingest, mask, picture, read, reported, splits_of, text, truths

from graft.vision.data.masks import IGNORED, open_masks
from graft.vision.data.sources.class_tables import read_class_table
from graft.vision.data.sources.conventions import CONVENTIONS, voc_colour
from graft.vision.data.sources.mask_pairs import find_pairs
from graft.vision.errors import DataError

MASKS = {"layout": "masks"}
PLAIN = np.zeros((30, 40), np.uint8)


def pair(root: Path, image: str, truth: str, values: np.ndarray = PLAIN) -> None:
    picture(root / image, seed=len(image))
    mask(root / truth, values)


@pytest.mark.parametrize(
    ("image", "truth"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("images/a.jpg", "masks/a_mask.png"),
        ("images/image_001.jpg", "masks/gt_001.png"),
        ("images/train/a.jpg", "labels/train/a.png"),
        ("train/images/a.jpg", "train/masks/a.png"),
        ("train/a.jpg", "trainannot/a.png"),
        ("train/a.jpg", "train_labels/a_L.png"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png"),
        ("RGB/a.png", "GT/a.png"),
        ("RGBLeft/a.png", "GTLeft/a.png"),
        ("images/training/a.jpg", "annotations/training/a.png"),
        ("a.jpg", "a_mask.png"),
        ("a_sat.jpg", "a_mask.png"),
        ("train-volume.tif", "train-labels.tif"),
        ("x/y/images/a.jpg", "x/y/masks/a.png"),
        ("images/gt_1.jpg", "masks/gt_1.png"),
        ("images/mask_a.jpg", "masks/mask_a.png"),
    ],
)
def test_pairs__find_the_mask_of_an_image(image, truth) -> None:
    pairs = find_pairs([image, truth], "", "", None)
    assert pairs.masks == {image: truth}
    assert pairs.bare_images == pairs.bare_masks == pairs.unclear == []


def test_pairs__never_cross_splits_and_tell_what_is_left() -> None:
    paths = ["train/images/a.jpg", "val/masks/a.png", "val/images/b.jpg", "val/masks/b.png"]
    pairs = find_pairs(paths, "", "", None)
    assert pairs.masks == {"val/images/b.jpg": "val/masks/b.png"}
    assert pairs.bare_images == ["train/images/a.jpg"] and pairs.bare_masks == ["val/masks/a.png"]


def test_pairs__tell_images_whose_mask_is_not_clear() -> None:
    pairs = find_pairs(["images/a.jpg", "masks/a.png", "masks/a.gif"], "", "", None)
    assert pairs.masks == {} and pairs.bare_masks == []
    assert pairs.unclear == [("images/a.jpg", ["masks/a.gif", "masks/a.png"])]
    pairs = find_pairs(["images/a.jpg", "images/a.png", "masks/a.png"], "", "", None)
    assert [image for image, _ in pairs.unclear] == ["images/a.jpg", "images/a.png"]


def test_pairs__follow_options(tmp_path: Path) -> None:
    text(tmp_path / "classes.txt", "sky\nroad")
    pair(tmp_path, "left/frame7.jpg", "right/semantic7.png")
    options = {"images_folder": "left", "masks_folder": "right", "pair_pattern": r"(\d+)"}
    reading = read(tmp_path, **MASKS, **options)
    assert [(row.path, row.mask) for row in reading.rows] == [
        ("left/frame7.jpg", "right/semantic7.png")
    ]
    with pytest.raises(DataError, match="no image with a mask"):
        read(tmp_path, **MASKS)


@settings(max_examples=100, deadline=None)
@given(
    stems=st.lists(st.text("ab1_-.", min_size=1, max_size=5), min_size=1, max_size=6, unique=True),
    ending=st.sampled_from(["", "_mask", "-gt"]),
)
def test_pairs__give_each_image_its_own_mask_or_say_that_they_cannot(stems, ending) -> None:
    images = {stem: f"images/{stem}.jpg" for stem in stems}
    masks = {stem: f"masks/{stem}{ending}.png" for stem in stems}
    pairs = find_pairs([*images.values(), *masks.values()], "", "", None)
    for image, truth in pairs.masks.items():
        assert truth == masks[Path(image).name.removesuffix(".jpg")]
    told = {*pairs.masks, *pairs.bare_images, *(image for image, _ in pairs.unclear)}
    assert told == set(images.values())


# --- names ---------------------------------------------------------------------------------------

RGB = {(0, 0, 0): "sky", (128, 64, 128): "road"}


@pytest.mark.parametrize(
    ("name", "content", "colours"),
    [
        ("classes.txt", "sky\nroad\n", {}),
        ("classes.txt", "\ufeff0 sky\r\n1 road\r\n", {}),
        ("classes.txt", "1: road\n0: sky\n", {}),
        ("label_colors.txt", "0 0 0 sky\n128 64 128\troad\n", RGB),
        ("label_colors.txt", "sky 0 0 0\nroad 128 64 128\n", RGB),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,64,128::\n", RGB),
        ("class_dict.csv", "name,r,g,b\nsky,0,0,0\nroad,128,64,128\n", RGB),
        ("class_dict.csv", "r,g,b,name\n0,0,0,sky\n128,64,128,road\n", RGB),
        ("classes.csv", "id,name\n1,road\n0,sky\n", {}),
        (
            "dataset_meta.json",
            '{"label_map": {"0": "sky", "1": "road"},'
            ' "segmentation_colors": [[0,0,0],[128,64,128]]}',
            RGB,
        ),
    ],
)
def test_class_table__names_values_and_colours(tmp_path: Path, name, content, colours) -> None:
    found = read_class_table(text(tmp_path / name, content))
    assert found.values == {0: "sky", 1: "road"}
    assert found.colours == colours


def test_class_table__reads_names_of_several_words_and_of_ade(tmp_path: Path) -> None:
    found = read_class_table(text(tmp_path / "classes.txt", "traffic light\nsky 2\n"))
    assert found.names == ["traffic light", "sky 2"]
    header = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    ade = header + "1\t0.1\t9\t9\t1\twall\n2\t0.1\t9\t9\t1\tbuilding, edifice\n"
    assert read_class_table(text(tmp_path / "objectInfo150.txt", ade)).values == {
        1: "wall",
        2: "building, edifice",
    }


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("classes.txt", "", "names no class"),
        ("classes.txt", "0 sky\n0 road\n", "twice"),
        ("label_colors.txt", "0 0 0 sky\n0 0 0 road\n", "twice"),
        ("label_colors.txt", "0 0 300 sky\n", "beyond 0..255"),
        ("dataset_meta.json", "{}", "no label_map"),
        ("dataset_meta.json", "{", "cannot be read as JSON"),
        ("class_dict.csv", "r,g,b\n0,0,0\n", "no column of names"),
    ],
)
def test_class_table__refuses_what_names_nothing_or_twice(tmp_path, name, content, words) -> None:
    with pytest.raises(DataError, match=words):
        read_class_table(text(tmp_path / name, content))


def test_class_table__refuses_text_that_ends_within_a_letter(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("sky\nroad\n".encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"classes\.txt is cut off"):
        read_class_table(tmp_path / "classes.txt")


def test_masks__need_names(tmp_path: Path) -> None:
    pair(tmp_path, "images/a.jpg", "masks/a.png")
    with pytest.raises(DataError, match=r"nothing names the values.*class_names"):
        read(tmp_path, **MASKS)
    with pytest.raises(DataError, match="two classes"):
        read(tmp_path, **MASKS, class_names=["a"], mask_values="binary")
    with pytest.raises(DataError, match=r"256 classes.*255"):
        read(tmp_path, **MASKS, class_names=[str(n) for n in range(256)])
    with pytest.raises(DataError, match=r"names\.txt is not in"):
        read(tmp_path, **MASKS, class_table="names.txt")


def test_masks__go_by_options_then_table_then_convention(tmp_path: Path) -> None:
    pair(tmp_path, "train/a.jpg", "trainannot/a.png")
    rule = read(tmp_path, **MASKS, convention="camvid").mask_rule
    assert rule is not None and rule.names[0] == "sky" and len(rule.names) == 11
    assert rule.values[11] == rule.values[255] == IGNORED
    text(tmp_path / "classes.txt", "cloud\nVoid\nroad")
    rule = read(tmp_path, **MASKS, convention="camvid").mask_rule
    assert rule is not None and rule.names == ("cloud", "road")
    assert dict(rule.values) == {0: 0, 1: IGNORED, 2: 1, 255: IGNORED}
    rule = read(tmp_path, **MASKS, class_names=["x", "y"], ignored_values=[9]).mask_rule
    assert rule is not None and dict(rule.values) == {0: 0, 1: 1, 9: IGNORED}


# --- rows ----------------------------------------------------------------------------------------


def test_masks__take_splits_from_folders_or_lists(tmp_path: Path) -> None:
    text(tmp_path / "classes.txt", "sky\nroad")
    for split in ("train", "val"):
        pair(tmp_path, f"{split}/images/{split}1.jpg", f"{split}/masks/{split}1.png")
    expected = {"train/images/train1.jpg": "train", "val/images/val1.jpg": "val"}
    assert splits_of(read(tmp_path, **MASKS)) == expected
    text(tmp_path / "train.txt", "/SegNet/x/train/val1.png /SegNet/x/trainannot/val1.png\n")
    text(tmp_path / "test.txt", "train1\nmy image.jpg\n")
    pair(tmp_path, "val/images/my image.jpg", "val/masks/my image.png")
    reading = read(tmp_path, **MASKS)
    assert splits_of(reading) == {
        "train/images/train1.jpg": "test",
        "val/images/my image.jpg": "test",
        "val/images/val1.jpg": "train",
    }
    assert any(
        "1 lines name images with another prefix and ending" in f and "/SegNet/x/train" in f
        for f in reading.findings
    )


def test_masks__tell_images_and_masks_that_stand_alone(tmp_path: Path) -> None:
    text(tmp_path / "classes.txt", "sky\nroad")
    pair(tmp_path, "images/a.jpg", "masks/a.png")
    picture(tmp_path / "images/b.jpg")
    mask(tmp_path / "masks/c.png", PLAIN)
    assert reported(read(tmp_path, **MASKS).quarantine) == [
        ("images/b.jpg", "", "image with no mask; draw one"),
        ("masks/c.png", "", "mask without an image; bring the image or take the mask out"),
    ]


def test_masks__never_reach_out_of_the_raw_folder(tmp_path: Path) -> None:
    mask(tmp_path / "secret.png", PLAIN)
    root = tmp_path / "raw"
    text(root / "classes.txt", "sky\nroad")
    pair(root, "images/a.jpg", "masks/a.png")
    picture(root / "images/b.jpg")
    (root / "masks/b.png").symlink_to(tmp_path / "secret.png")
    reading = read(root, **MASKS)
    assert [row.path for row in reading.rows] == ["images/a.jpg"]
    assert {file for file, _, _ in reported(reading.quarantine)} == {"masks/b.png", "images/b.jpg"}


def test_masks__know_cityscapes_by_the_best_of_its_files(tmp_path: Path) -> None:
    stem = "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png"
    truth = "gtFine/val/ulm/ulm_000000_000019_gtFine_{}.png"
    picture(tmp_path / stem, 4, 1)
    mask(tmp_path / truth.format("labelIds"), np.array([[7, 26, 3, 33]], np.uint8))
    mask(tmp_path / truth.format("labelTrainIds"), np.array([[0, 13, 255, 18]], np.uint8))
    mask(tmp_path / truth.format("instanceIds"), np.array([[7, 26001, 3, 33002]], np.uint16))
    mask(tmp_path / truth.format("color"), np.zeros((1, 4, 3), np.uint8))
    for number, kind in enumerate(("labelIds", "labelTrainIds", "instanceIds")):
        ingested = ingest(tmp_path, tmp_path / f"out{number}", **MASKS, convention="cityscapes")
        told = next(iter(truths(ingested).values()))
        assert told["mask"].endswith(f"{kind}.png")
        assert told["classes"] == ["road", "car", "bicycle"] and len(told["names"]) == 19
        stored = open_masks(tmp_path / f"out{number}/pixels").read(told["mask_sha256"])
        np.testing.assert_array_equal(stored, [[0, 13, IGNORED, 18]])
        assert list(ingested.manifest["given_split"]) == ["val"]
        assert len(ingested.quarantine) == 0
        (tmp_path / truth.format(kind)).unlink()


def test_masks__know_ade_and_its_void_zero(tmp_path: Path) -> None:
    picture(tmp_path / "images/training/a.jpg", 3, 1)
    mask(tmp_path / "annotations/training/a.png", np.array([[0, 1, 2]], np.uint8))
    options = {"convention": "ade", "class_names": ["wall", "floor"]}
    told = truths(ingest(tmp_path, tmp_path / "out", **MASKS, **options))["a.jpg"]
    stored = open_masks(tmp_path / "out/pixels").read(told["mask_sha256"])
    np.testing.assert_array_equal(stored, [[IGNORED, 0, 1]])
    assert told["names"] == ["wall", "floor"]


def test_masks__know_voc_and_its_palette(tmp_path: Path) -> None:
    assert [voc_colour(n) for n in (1, 2, 15, 20)] == [
        (128, 0, 0),
        (0, 128, 0),
        (192, 128, 128),
        (0, 64, 128),
    ]
    assert voc_colour(255) == (224, 224, 192)
    assert len(CONVENTIONS["voc"].names.values) == 21
    picture(tmp_path / "JPEGImages/a.jpg", 3, 1)
    colours = np.array([[[0, 0, 0], [192, 128, 128], [224, 224, 192]]], np.uint8)
    mask(tmp_path / "SegmentationClass/a.png", colours)
    mask(tmp_path / "SegmentationObject/a.png", colours)
    told = truths(ingest(tmp_path, tmp_path / "out", **MASKS, convention="voc"))["a.jpg"]
    stored = open_masks(tmp_path / "out/pixels").read(told["mask_sha256"])
    np.testing.assert_array_equal(stored, [[0, 15, IGNORED]])


def test_masks__know_camvid_in_numbers_and_in_colours(tmp_path: Path) -> None:
    pair(tmp_path, "train/a.png", "trainannot/a.png", np.full((30, 40), 8, np.uint8))
    told = truths(ingest(tmp_path, tmp_path / "out", **MASKS, convention="camvid"))["a.png"]
    assert told["classes"] == ["car"] and len(told["names"]) == 11
    colours = np.full((30, 40, 3), (64, 0, 128), np.uint8)
    colours[0] = 0
    mask(tmp_path / "trainannot/a.png", colours)
    told = truths(ingest(tmp_path, tmp_path / "out", **MASKS, convention="camvid"))["a.png"]
    assert told["classes"] == ["Car"] and len(told["names"]) == 31
