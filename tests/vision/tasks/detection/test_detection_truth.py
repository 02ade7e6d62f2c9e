"""Boxes on their way: from texts, through augmentation, to words about the original."""

import json
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import build_policy, compose_policy
from graft.vision.errors import DataError
from graft.vision.preprocessing import Preprocessing, frame_of
from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable
from graft.vision.tasks.detection import TASK
from graft.vision.tasks.detection.boxes import Boxes, overlaps

CLASSES = ClassTable(names=("ant", "bee", "wasp"))
WIDTH, HEIGHT = 640, 480
GEOMETRIC = (
    A.HorizontalFlip(p=1),
    A.VerticalFlip(p=1),
    A.Transpose(p=1),
    A.D4(p=1),
    A.RandomRotate90(p=1),
    A.Resize(333, 271),
    A.LongestMaxSize(512),
    A.PadIfNeeded(800, 900),
    A.RandomScale((-0.4, 0.4), p=1),
    A.Affine(scale=(0.7, 1.3), translate_percent=(-0.1, 0.1), p=1),
    A.RandomResizedCrop((320, 320), scale=(0.5, 1.0), p=1),
    A.SmallestMaxSize(300),
    A.CenterCrop(300, 400),
)


class NoMasks:
    """A case of boxes has no masks."""

    def read(self, sha256: str) -> Array:
        raise AssertionError


def text_of(boxes: list[list[float]], names: list[str]) -> str:
    return json.dumps({"boxes_xyxy": boxes, "classes": names, "size_px": [WIDTH, HEIGHT]})


def read_one(boxes: list[list[float]], names: list[str]) -> Truth:
    return TASK.read_truth([text_of(boxes, names)], CLASSES, NoMasks())[0]


def compose(*steps: Any, seed: int = 0) -> A.Compose:
    return A.Compose(list(steps), seed=seed, **TASK.compose_options())


def overlap_of(first: Array, second: Array) -> Array:
    def boxes(xyxy: Array) -> Boxes:
        return Boxes(xyxy.astype(float), np.zeros(len(xyxy), int), np.ones(len(xyxy)))

    return np.diag(overlaps(boxes(first), boxes(second)))


def test_truth__is_shares_of_the_image_and_keeps_images_without_objects() -> None:
    texts = [text_of([[64, 48, 320, 480], [0, 0, 640, 240]], ["wasp", "ant"]), text_of([], [])]
    some, none = TASK.read_truth(texts, CLASSES, NoMasks())
    assert some["boxes_xyxy"].tolist() == pytest.approx(
        np.array([[0.1, 0.1, 0.5, 1], [0, 0, 1, 0.5]])
    )
    assert some["class_ids"].tolist() == [2, 0]
    assert some["targets"].tolist() == [1, 0, 1]
    assert none["boxes_xyxy"].shape == (0, 4)
    assert none["class_ids"].dtype == np.int64
    assert none["targets"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "box", [[5, 5, 5, 9], [5, 9, 50, 9], [-3, 0, 9, 9], [0, 0, 641, 9], [9, 9, 5, 20]]
)
def test_truth__refuses_boxes_outside_or_without_area(box: list[float]) -> None:
    with pytest.raises(DataError, match="lies outside its image or has no area"):
        read_one([box], ["ant"])


def test_truth__refuses_an_unknown_class_and_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'wasp'"):
        read_one([[0, 0, 9, 9]], ["waps"])


def test_transform__keeps_classes_as_whole_numbers_and_px_of_the_view() -> None:
    truth = read_one([[64, 48, 320, 480]], ["wasp"])
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    view, moved = TASK.transform(compose(A.Resize(100, 200)), pixels, truth)
    assert view.shape == (100, 200, 3)
    assert moved["boxes_xyxy"].dtype == np.float32
    assert moved["boxes_xyxy"][0].tolist() == pytest.approx([20, 10, 100, 100], abs=1e-3)
    assert moved["class_ids"].dtype == np.int64 and moved["class_ids"].tolist() == [2]
    assert truth["boxes_xyxy"].max() <= 1


def test_transform__drops_what_a_crop_hides_and_says_so_in_the_targets() -> None:
    # Of the first box a tenth stays, of the second half, of the third all.
    boxes = [[0, 0, 100, 100], [50, 0, 130, 100], [200, 200, 300, 300]]
    truth = read_one(boxes, ["ant", "bee", "bee"])
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    _, moved = TASK.transform(compose(A.Crop(90, 0, 640, 480)), pixels, truth)
    assert moved["class_ids"].tolist() == [1, 1]
    assert moved["boxes_xyxy"].tolist() == pytest.approx(
        np.array([[0, 0, 40, 100], [110, 200, 210, 300]]), abs=1e-2
    )
    assert moved["targets"].tolist() == [0, 1, 0]


def test_transform__takes_images_without_objects_and_previews_without_truth() -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    flips = compose(A.HorizontalFlip(p=1), A.Resize(64, 64))
    _, moved = TASK.transform(flips, pixels, read_one([], []))
    assert moved["boxes_xyxy"].shape == (0, 4)
    assert moved["class_ids"].dtype == np.int64
    view, nothing = TASK.transform(flips, pixels, {})
    assert view.shape == (64, 64, 3) and nothing == {}


@pytest.mark.parametrize("flip", [A.HorizontalFlip(p=1), A.VerticalFlip(p=1)])
def test_transform__of_a_flip_applied_twice_is_the_identity(flip: Any) -> None:
    truth = read_one([[63.5, 10, 200, 111], [5, 5, 630, 470]], ["ant", "bee"])
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    view, moved = TASK.transform(compose(flip, flip), pixels, truth)
    sides = np.array([WIDTH, HEIGHT] * 2)
    assert (view == pixels).all()
    assert moved["boxes_xyxy"] == pytest.approx(truth["boxes_xyxy"] * sides, abs=1e-3)


@pytest.mark.parametrize("step", GEOMETRIC, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_transform__keeps_boxes_on_their_objects(step: Any, seed: int) -> None:
    """A white rectangle stays where its box says, through every geometric transform."""
    box = [200, 150, 440, 330]
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    view, moved = TASK.transform(compose(step, seed=seed), pixels, read_one([box], ["ant"]))
    rows, columns = np.nonzero(view[:, :, 0] > 127)
    seen = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    assert overlap_of(moved["boxes_xyxy"], seen)[0] > 0.95


@pytest.mark.parametrize("preset", ["natural", "traffic_sign", "radiology", "none"])
def test_policy__of_every_preset_carries_boxes_along(preset: Any) -> None:
    view = Preprocessing(size_px=320, fit="squash", mean=(0.5,) * 3, std=(0.5,) * 3)
    policy = build_policy(compose_policy(PolicyOptions(preset=preset), view, TASK), TASK)
    policy.set_random_seed(1)
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    pixels[150:330, 200:440] = 255
    seen, moved = TASK.transform(policy, pixels, read_one([[200, 150, 440, 330]], ["ant"]))
    assert seen.shape == (320, 320, 3)
    bright = np.argwhere(seen.max(axis=2) > 128)
    low, high = bright.min(axis=0), bright.max(axis=0) + 1
    found = np.array([[low[1], low[0], high[1], high[0]]])
    # A turned rectangle lies in a box that is larger than what is seen of it, but not by much.
    assert overlap_of(moved["boxes_xyxy"], found)[0] > 0.9


@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("size", [(640, 480), (333, 500), (32, 700)])
def test_predict__speaks_of_the_upright_original(fit: Any, size: tuple[int, int]) -> None:
    width, height = size
    view = Preprocessing(size_px=224, fit=fit, mean=(0.5,) * 3, std=(0.5,) * 3)
    frame = frame_of((height, width, 3), width, height, view)
    middle = np.array([0.45 * width, 0.47 * height, 0.55 * width, 0.53 * height])
    scale, offset = [frame.scale_x, frame.scale_y] * 2, [frame.left, frame.top] * 2
    outputs = torch.zeros(1, 100, 6)
    outputs[0, 0] = torch.tensor([*(middle * scale + offset), 0.75, 2])
    said = TASK.predict(outputs, CLASSES, 1.0, [frame]).iloc[0]
    words = json.loads(said["prediction"])
    assert words["boxes_xyxy"][0] == pytest.approx(middle.tolist(), abs=0.01)
    assert words["classes"] == ["wasp"] and words["scores"] == [0.75]
    assert said["score"] == 0.75


def test_predict__cuts_off_what_lies_in_padding() -> None:
    view = Preprocessing(size_px=200, fit="letterbox", mean=(0.5,) * 3, std=(0.5,) * 3)
    frame = frame_of((100, 400, 3), 400, 100, view)  # the picture lies in rows 75 to 125
    outputs = torch.zeros(1, 3, 6)
    outputs[0, 0] = torch.tensor([10, 10, 50, 60, 0.9, 0])
    outputs[0, 1] = torch.tensor([10, 60, 50, 100, 0.5, 1])
    words = json.loads(TASK.predict(outputs, CLASSES, 1.0, [frame])["prediction"][0])
    assert words["boxes_xyxy"] == [[20.0, 0.0, 100.0, 50.0]]
    assert words["classes"] == ["bee"]


def test_predict__survives_no_detections_and_no_images() -> None:
    frame = frame_of((10, 10, 3), 10, 10, Preprocessing(size_px=20, mean=(0.5,), std=(0.5,)))
    table = TASK.predict(torch.zeros(2, 100, 6), CLASSES, 1.0, [frame] * 2)
    assert table["score"].tolist() == [0.0, 0.0]
    assert json.loads(table["prediction"][0]) == {"boxes_xyxy": [], "classes": [], "scores": []}
    assert TASK.predict(torch.zeros(0, 100, 6), CLASSES, 1.0, []).empty


def test_predict__tempers_scores_and_keeps_their_order() -> None:
    frame = frame_of(
        (20, 20, 3), 20, 20, Preprocessing(size_px=20, fit="squash", mean=(0.5,), std=(0.5,))
    )
    outputs = torch.zeros(1, 3, 6)
    outputs[0, :, 2:4] = 9
    outputs[0, :, 4] = torch.tensor([1.0, 0.9, 0.2])
    words = json.loads(TASK.predict(outputs, CLASSES, 2.0, [frame])["prediction"][0])
    assert words["scores"] == pytest.approx([1.0, 0.75, 1 / 3])
