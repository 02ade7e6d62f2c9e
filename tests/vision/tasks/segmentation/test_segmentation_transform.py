from typing import Any

import albumentations as A
import numpy as np
import pytest
from drawn_masks import IGNORED, draw_mask, iou

from graft.vision.records import Array, Truth
from graft.vision.tasks.segmentation.transform import compose_options, resize_mask, transform

GEOMETRY = {
    "HorizontalFlip": A.HorizontalFlip(p=1),
    "VerticalFlip": A.VerticalFlip(p=1),
    "Transpose": A.Transpose(p=1),
    "RandomRotate90": A.RandomRotate90(p=1),
    "D4": A.D4(p=1),
    "Affine": A.Affine(rotate=(-30, 30), scale=(0.7, 1.2), shear=(-10, 10), p=1),
    "Affine, repeated": A.Affine(rotate=(-30, 30), border_mode=1, p=1),
    "Affine, mirrored": A.Affine(rotate=(-30, 30), border_mode=4, p=1),
    "ShiftScaleRotate": A.ShiftScaleRotate(p=1),
    "Rotate": A.Rotate((-45, 45), p=1),
    "SafeRotate": A.SafeRotate((-45, 45), p=1),
    "Perspective": A.Perspective(p=1),
    "ElasticTransform": A.ElasticTransform(alpha=20, sigma=8, p=1),
    "GridDistortion": A.GridDistortion(p=1),
    "OpticalDistortion": A.OpticalDistortion(p=1),
    "ThinPlateSpline": A.ThinPlateSpline(scale_range=(0.05, 0.1), p=1),
    "RandomResizedCrop": A.RandomResizedCrop((96, 96), scale=(0.4, 1.0)),
    "RandomSizedCrop": A.RandomSizedCrop((90, 150), (96, 96)),
    "RandomCrop": A.RandomCrop(120, 120),
    "CenterCrop": A.CenterCrop(120, 120),
    "RandomScale": A.RandomScale((-0.3, 0.3), p=1),
    "Resize": A.Resize(96, 96, area_for_downscale="image"),
    "LongestMaxSize": A.LongestMaxSize(120, area_for_downscale="image"),
    "SmallestMaxSize": A.SmallestMaxSize(120, area_for_downscale="image"),
    "PadIfNeeded": A.PadIfNeeded(256, 256),
    "CropAndPad": A.CropAndPad(percent=(-0.1, 0.1), p=1),
}


def compose(*steps: Any, seed: int = 0) -> A.Compose:
    found = A.Compose(list(steps), **compose_options())
    found.set_random_seed(seed)
    return found


def truth_of(mask: Array) -> Truth:
    present = [float((mask == number).any()) for number in range(3)]
    return {"targets": np.array(present, np.float32), "mask": mask}


def picture_of(mask: Array) -> Array:
    """A picture in which each class has a channel of its own, and so can be read back."""
    return np.stack([np.where(mask == number, 255, 0) for number in range(3)], 2).astype(np.uint8)


@pytest.mark.parametrize("flip", [A.HorizontalFlip(p=1), A.VerticalFlip(p=1)])
def test_transform__of_a_flip_twice_is_the_identity(flip: Any) -> None:
    mask = draw_mask(31, 47)
    pixels, truth = picture_of(mask), truth_of(mask)
    once = transform(compose(flip), pixels, truth)
    assert (once[1]["mask"] != mask).any()
    again, back = transform(compose(flip), *once)
    assert (again == pixels).all()
    assert (back["mask"] == mask).all()
    assert (back["targets"] == truth["targets"]).all()


@pytest.mark.parametrize("name", GEOMETRY)
def test_transform__moves_the_mask_with_the_pixels(name: str) -> None:
    for seed in range(4):
        mask = draw_mask(180, 200, seed)
        pixels, truth = transform(
            compose(GEOMETRY[name], seed=seed), picture_of(mask), truth_of(mask)
        )
        assert truth["mask"].shape == pixels.shape[:2]
        assert truth["mask"].dtype == np.uint8
        seen = pixels.argmax(2).astype(np.uint8)
        for number in range(3):
            if (truth["mask"] == number).sum() > 200:
                assert iou(seen, truth["mask"], number) > 0.95


@pytest.mark.parametrize("name", ["Affine", "Rotate", "SafeRotate", "PadIfNeeded", "CropAndPad"])
def test_transform__ignores_what_lies_outside_the_image(name: str) -> None:
    pixels = np.full((40, 40, 3), 255, np.uint8)
    for seed in range(5):
        out, truth = transform(
            compose(GEOMETRY[name], seed=seed), pixels, truth_of(np.zeros((40, 40), np.uint8))
        )
        assert set(np.unique(truth["mask"])) <= {0, IGNORED}
        dark = out.max(2) == 0
        assert (truth["mask"][dark] == IGNORED).all()


def test_transform__keeps_every_number_and_what_is_ignored() -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    truth = {"targets": np.ones(255, np.float32), "mask": mask}
    found = transform(compose(A.NoOp()), np.zeros((16, 16, 3), np.uint8), truth)[1]
    assert (found["mask"] == mask).all()
    assert found["targets"].all()


def test_transform__names_as_targets_what_is_left_in_the_view() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:8, :8] = 2
    pixels = np.zeros((40, 40, 3), np.uint8)
    found = transform(compose(A.Crop(10, 10, 40, 40)), pixels, truth_of(mask))[1]
    assert found["targets"].tolist() == [1, 0, 0]


def test_transform__brings_the_mask_to_the_size_of_reduced_pixels() -> None:
    mask = draw_mask(180, 200)
    found = transform(compose(A.NoOp()), np.zeros((90, 100, 3), np.uint8), truth_of(mask))[1]
    assert found["mask"].shape == (90, 100)


def test_transform__works_without_a_mask() -> None:
    pixels, truth = transform(compose(A.HorizontalFlip(p=1)), picture_of(draw_mask(8, 8)), {})
    assert pixels.shape == (8, 8, 3)
    assert truth == {}


@pytest.mark.parametrize("size", [(288, 288), (64, 256), (512, 1024)])
def test_resize__takes_the_number_under_each_centre(size: tuple[int, int]) -> None:
    mask = draw_mask(360, 480)
    one, other = resize_mask(mask, *size), resize_mask(mask[::-1, ::-1], *size)
    # Taking corners instead of centres, a mirrored mask would come out shifted. Of these sizes no
    # centre lies on the border of two pixels.
    assert (one == other[::-1, ::-1]).all()
    step = compose(A.Resize(size[1], size[0]))
    found = transform(step, picture_of(mask), truth_of(mask))[1]
    assert (found["mask"] == one).all()


def test_transform__takes_centres_in_steps_that_stand_inside_others() -> None:
    mask = draw_mask(360, 480)
    nested = compose(A.OneOf([A.Sequential([A.Resize(288, 288)], p=1)], p=1))
    found = transform(nested, picture_of(mask), truth_of(mask))[1]
    assert (found["mask"] == resize_mask(mask, 288, 288)).all()
