"""Geometry: through every policy that conf can name, boxes and masks stay on what they mark.

Two objects are painted, one red and one green; what is seen of them afterwards is held against
what the truth of the transformed image says.
"""

import json
from typing import Any, get_args

import albumentations as A
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from graft.vision.augmentation.custom import known_names
from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import PRESETS, compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.data.masks import IGNORED, decode_mask
from graft.vision.errors import GraftError
from graft.vision.preprocessing import Preprocessing, frame_of, view_of
from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, Task
from graft.vision.tasks import choose_task

ENOUGH = 0.95
SIZE_PX = 384
"""Of objects this large, the pixel by which edges are rounded is less than 0.05 of them."""
WIDTH, HEIGHT = 600, 480
CLASSES = ClassTable(names=("ground", "red", "green"))
TASKS = {name: choose_task({"name": name})[0] for name in ("detection", "segmentation")}
FITS = get_args(Preprocessing.model_fields["fit"].annotation)

SIDES = {"height": SIZE_PX, "width": SIZE_PX}
MOVING: dict[str, dict[str, Any]] = {
    "Affine": {"rotate": [-30, 30], "scale": [0.7, 1.2], "shear": [-8, 8]},
    "AtLeastOneBBoxRandomCrop": SIDES,
    "CenterCrop": SIDES,
    "Crop": {"x_max": SIZE_PX, "y_max": SIZE_PX},
    "CropAndPad": {"percent": [-0.1, 0.1]},
    "D4": {},
    "ElasticTransform": {"alpha": 30, "sigma": 12},
    "GridDistortion": {},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 9},
    "HorizontalFlip": {},
    "LongestMaxSize": {"max_size": SIZE_PX},
    "NoOp": {},
    "OpticalDistortion": {},
    "Pad": {"padding": 0},
    "PadIfNeeded": {"min_height": SIZE_PX, "min_width": SIZE_PX},
    "Perspective": {},
    "RandomCrop": SIDES,
    "RandomResizedCrop": {"size": [SIZE_PX, SIZE_PX], "scale": [0.4, 1.0]},
    "RandomRotate90": {},
    "RandomSizedCrop": {"min_max_height": [225, SIZE_PX], "size": [SIZE_PX, SIZE_PX]},
    "Resize": SIDES,
    "Rotate": {"limit": [-45, 45]},
    "SafeRotate": {"limit": [-45, 45]},
    "SmallestMaxSize": {"max_size": SIZE_PX},
    "SquareSymmetry": {},
    "ThinPlateSpline": {"scale_range": [0.02, 0.06]},
    "Transform3D": {},
    "Transpose": {},
    "VerticalFlip": {},
}
"""Transforms that move what is seen, with arguments that leave a view a view."""
HIDING = {
    *("CoarseDropout", "ConstrainedCoarseDropout", "Erasing", "GridDropout", "PixelDropout"),
    *("XYMasking", "Morphological"),
}
"""These hide or thicken what is seen, and leave it where it is."""
SHUFFLING = {"RandomGridShuffle"}
"""Takes objects to pieces, each of which keeps a box of its own."""


def scene(number: int) -> tuple[Array, Array]:
    """(H, W) uint8 numbers of CLASSES, and (2, 4) boxes in px: a red object left of a green one."""
    rng = np.random.default_rng(number)
    mask, boxes = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((2, 4), int)
    for place, left in enumerate((135, 320)):
        x0, y0 = left + rng.integers(0, 40), rng.integers(120, 195)
        boxes[place] = x0, y0, x0 + rng.integers(90, 120), y0 + rng.integers(105, 165)
        mask[boxes[place, 1] : boxes[place, 3], boxes[place, 0] : boxes[place, 2]] = place + 1
    return mask, boxes


def painted(mask: Array) -> Array:
    """(H, W, 3) uint8: red, green, and black."""
    return np.stack([255 * (mask == 1), 255 * (mask == 2), 0 * mask], axis=2).astype(np.uint8)


def seen(pixels: Array, number: int) -> Array:
    """(H, W) bool: where the object's colour outshines the others by half of what it does most."""
    values = pixels.astype(int)
    lead = values[:, :, number - 1] - np.delete(values, number - 1, axis=2).max(axis=2)
    return lead > max(5, lead.max() // 2)


def truth_of(task: Task, mask: Array, boxes: Array) -> Truth:
    targets = np.array([(mask == number).any() for number in range(3)], np.float32)
    if task.name == "segmentation":
        return {"targets": targets, "mask": mask}
    shares = (boxes / np.array([WIDTH, HEIGHT] * 2)).astype(np.float32)
    return {"targets": targets, "boxes_xyxy": shares, "class_ids": np.array([1, 2])}


def box_around(where: Array) -> Array:
    rows, columns = np.nonzero(where)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def iou_of_boxes(one: Array, other: Array) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.maximum(high - low, 0))
    areas = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])
    return float(shared / (areas - shared))


def overlaps(task: Task, pixels: Array, truth: Truth, smears: bool) -> list[float]:
    """IoU of what is seen with what is said, for each object that the truth still has.

    ``smears``: borders repeat the last pixels, so that an object which a border cuts is seen to
    run on beyond its box; boxes of such objects are not judged.
    """
    found = []
    for number in (1, 2):
        where = seen(pixels, number)
        if task.name == "detection":
            around = box_around(where)
            if smears and (around.min() == 0 or around.max() == SIZE_PX):
                continue
            said = truth["boxes_xyxy"][truth["class_ids"] == number]
            found += [iou_of_boxes(box, around) for box in said.astype(float)]
        elif truth["targets"][number]:
            said, judged = truth["mask"] == number, truth["mask"] != IGNORED
            found.append(float((said & where).sum() / ((said | where) & judged).sum()))
    return found


def view_options(fit: str = "squash", **fields: Any) -> Preprocessing:
    plain = {"size_px": SIZE_PX, "fit": fit, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return Preprocessing.parse({**plain, **fields}, "test")


def check(
    task: Task, options: dict[str, Any], view: Preprocessing, draws: int, smears: bool = False
) -> None:
    """Half of the objects or more are still there, and each lies where its truth says."""
    built = compose_policy(PolicyOptions.parse(options, "test"), view, task)
    augmenter = Augmenter(json.loads(json.dumps(built)), task, 0)
    found = []
    for number in range(draws):
        mask, boxes = scene(number)
        drawn = augmenter(painted(mask), truth_of(task, mask, boxes), 0, str(number))
        found += overlaps(task, *drawn, smears)
    assert len(found) >= draws
    assert min(found) > ENOUGH


def custom(name: str, **arguments: Any) -> dict[str, Any]:
    return {"preset": "custom", "transforms": [{"name": name, "p": 1.0, **arguments}]}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


@pytest.mark.parametrize("name", MOVING)
def test_custom_policy__keeps_boxes_and_masks_on_their_objects(task: Task, name: str) -> None:
    check(task, custom(name, **MOVING[name]), view_options(), draws=2)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("preset", PRESETS)
def test_preset__keeps_boxes_and_masks_on_their_objects(task: Task, preset: str, fit: str) -> None:
    smears = preset == "traffic_sign"
    for strength in (1.0, 1.5):
        options = {"preset": preset, "strength": strength}
        check(task, options, view_options(fit), draws=3, smears=smears)


def test_transforms__that_move_are_all_tried_here_or_refused_by_custom() -> None:
    kinds = {name: getattr(A, name, None) for name in known_names()}
    dual = {n for n, k in kinds.items() if isinstance(k, type) and issubclass(k, A.DualTransform)}
    assert dual >= MOVING.keys() | HIDING | SHUFFLING
    for name in sorted(dual - MOVING.keys() - HIDING - SHUFFLING):
        with pytest.raises(GraftError, match=name):
            compose_policy(
                PolicyOptions.parse(custom(name), "test"), view_options(), TASKS["detection"]
            )


@pytest.mark.parametrize("size", [(600, 480), (320, 400), (97, 389), (384, 384), (511, 300)])
@pytest.mark.parametrize("fit", FITS)
def test_view__and_back_leaves_boxes_where_they_were(fit: str, size: tuple[int, int]) -> None:
    (width, height), task, view = size, TASKS["detection"], view_options(fit)
    middle = np.array([[0.4, 0.37, 0.61, 0.6]], np.float32)
    truth = {"targets": np.ones(3, np.float32), "boxes_xyxy": middle, "class_ids": np.array([1])}
    policy = compose_policy(PolicyOptions(preset="none"), view, task)
    pixels = np.zeros((height, width, 3), np.uint8)
    found = Augmenter(policy, task, 0)(pixels, truth, 0, "0")[1]["boxes_xyxy"][0]
    frame = frame_of(pixels.shape, width, height, view)
    outputs = torch.tensor([[[*found, 1.0, 1]]])
    said = json.loads(task.predict(outputs, CLASSES, 1.0, [frame])["prediction"][0])
    scale, offset = np.array([frame.scale_x, frame.scale_y] * 2), [frame.left, frame.top] * 2
    # As far as a crop shows it.
    there = np.clip(middle[0] * [width, height, width, height] * scale + offset, 0, SIZE_PX)
    back = np.array(said["boxes_xyxy"][0]) * scale + offset
    assert iou_of_boxes(back, there) > ENOUGH
    assert np.abs(back - there).max() <= 1  # px of the view


@pytest.mark.parametrize("fit", FITS)
def test_view__and_back_leaves_masks_where_they_were(fit: str) -> None:
    task, view = TASKS["segmentation"], view_options(fit)
    policy = compose_policy(PolicyOptions(preset="none"), view, task)
    for number in range(2):
        mask, boxes = scene(number)
        pixels, truth = painted(mask), truth_of(task, mask, boxes)
        shown, found = Augmenter(policy, task, 0)(pixels, truth, 0, "0")
        np.testing.assert_allclose(shown, view_of(pixels, view), atol=1)
        kinds = np.where(found["mask"] == IGNORED, 0, found["mask"])
        logits = 20.0 * F.one_hot(torch.from_numpy(kinds).long(), 3).movedim(-1, 0)[None]
        frame = frame_of(pixels.shape, WIDTH, HEIGHT, view)
        words = task.predict(logits, CLASSES, 1.0, [frame])["prediction"][0]
        said = decode_mask(json.loads(words)["png"])
        for kind in (1, 2):
            one, other = said == kind, mask == kind
            assert (one & other).sum() / (one | other).sum() > ENOUGH


INVERSES = {
    "scale": ({"scale": [0.8, 0.8]}, {"scale": [1.25, 1.25]}),
    "shift": ({"translate_px": [31, 31]}, {"translate_px": [-31, -31]}),
    "rotation": ({"rotate": [20, 20]}, {"rotate": [-20, -20]}),
    "shear": ({"shear": {"x": (8, 8), "y": (0, 0)}}, {"shear": {"x": (-8, -8), "y": (0, 0)}}),
}


@pytest.mark.parametrize("name", INVERSES)
def test_affine__and_its_inverse_give_back_the_mask(name: str) -> None:
    task, (there, back) = TASKS["segmentation"], INVERSES[name]
    for number in range(2):
        mask, boxes = scene(number)
        both = A.Compose([A.Affine(**there, p=1), A.Affine(**back, p=1)], **task.compose_options())
        _, found = task.transform(both, painted(mask), truth_of(task, mask, boxes))
        for kind in (1, 2):
            one, other = found["mask"] == kind, mask == kind
            assert (one & other).sum() / (one | other).sum() > ENOUGH


# A box that is turned lies in a larger box, which no turn back makes smaller.
@pytest.mark.parametrize("name", ["scale", "shift"])
def test_affine__and_its_inverse_give_back_the_boxes(name: str) -> None:
    task, (there, back) = TASKS["detection"], INVERSES[name]
    mask, boxes = scene(0)
    both = A.Compose([A.Affine(**there, p=1), A.Affine(**back, p=1)], **task.compose_options())
    _, found = task.transform(both, painted(mask), truth_of(task, mask, boxes))
    for one, other in zip(found["boxes_xyxy"], boxes, strict=True):
        assert iou_of_boxes(one.astype(float), other.astype(float)) > ENOUGH
