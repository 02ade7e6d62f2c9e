"""The three detectors: what they give, what they learn from, and that they can learn at all."""

import numpy as np
import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.model import GraftedModel
from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.detection import TASK, TaskOptions
from graft.vision.tasks.detection.anchors import Anchors
from graft.vision.tasks.detection.pooling import BoxPooling

CLASSES = ClassTable(names=("ant", "bee", "wasp"))
SIDE_PX = 64
ARCHITECTURES = ("faster_rcnn", "retinanet", "fcos")


def new_model(architecture: str, **options: object) -> GraftedModel:
    torch.manual_seed(0)
    backbone = load_backbone(BackboneOptions(name="test_efficientnet", weights="none"))
    chosen = {"architecture": architecture, "pyramid_channels": 32, "head_units": 32, **options}
    return TASK.build_model(backbone, CLASSES, TaskOptions.parse(chosen, "task"))


def truth_of(boxes: list[list[float]], class_ids: list[int]) -> Truth:
    return {
        "boxes_xyxy": np.array(boxes, np.float32).reshape(-1, 4),
        "class_ids": np.array(class_ids, np.int64),
        "targets": np.zeros(3, np.float32),
    }


def draw_views() -> tuple[torch.Tensor, list[Truth]]:
    """Four dim views with one bright square each, and one with nothing."""
    generator = torch.Generator().manual_seed(1)
    views = torch.randint(0, 60, (5, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8, generator=generator)
    truths = []
    for i, (x, y) in enumerate(((4, 6), (28, 20), (10, 30), (30, 4))):
        views[i, i % 3, y : y + 28, x : x + 28] = 250
        truths.append(truth_of([[x, y, x + 28, y + 28]], [i % 3]))
    return views, [*truths, truth_of([], [])]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss__is_finite_and_reaches_every_parameter(architecture: str) -> None:
    model = new_model(architecture).train()
    views, truths = draw_views()
    loss = TASK.loss(model(views), truths, CLASSES, LossOptions())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss__is_finite_when_no_image_has_objects(architecture: str) -> None:
    model = new_model(architecture).train()
    views, _ = draw_views()
    loss = TASK.loss(model(views), [truth_of([], [])] * 5, CLASSES, LossOptions())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss__follows_class_weights(architecture: str) -> None:
    model = new_model(architecture).train()
    views, truths = draw_views()
    losses = []
    for weights in ((1.0, 1.0, 1.0), (9.0, 1.0, 1.0)):
        torch.manual_seed(0)
        options = LossOptions(class_weights=weights)
        losses.append(float(TASK.loss(model(views), truths, CLASSES, options).detach()))
    assert losses[0] != losses[1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model__learns_a_few_views_by_heart(architecture: str) -> None:
    model = new_model(architecture, anchor_scales=(2.0, 3.0), head_units=64)
    views, truths = draw_views()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        torch.manual_seed(0)
        model.train()
        loss = TASK.loss(model(views), truths, CLASSES, LossOptions())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    # Batch statistics of five views stand in for running ones.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.inference_mode():
        model(views)
        best = model.eval()(views)[:4, 0]
    wanted = torch.from_numpy(np.concatenate([truth["boxes_xyxy"] for truth in truths[:4]]))
    assert (best[:, :4] - wanted).abs().max() < 6
    assert best[:, 5].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model__gives_one_padded_tensor_in_evaluation(architecture: str) -> None:
    model = new_model(architecture, score_threshold=0.0, detections_per_image=7).eval()
    with torch.inference_mode():
        found = model(draw_views()[0])
    assert found.shape == (5, 7, 6)
    assert found.dtype == torch.float32
    boxes, scores, class_ids = found[:, :, :4], found[:, :, 4], found[:, :, 5]
    assert boxes.min() >= 0 and boxes.max() <= SIDE_PX
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
    assert scores.min() >= 0 and scores.max() <= 1
    assert (scores.diff(dim=1) <= 0).all()
    assert set(class_ids.unique().tolist()) <= {0.0, 1.0, 2.0}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model__finds_nothing_above_an_unreachable_score(architecture: str) -> None:
    model = new_model(architecture, score_threshold=0.999).eval()
    with torch.inference_mode():
        found = model(draw_views()[0])
    assert found.shape == (5, 100, 6)
    assert (found == 0).all()
    assert TASK.loss(found, [truth_of([], [])] * 5, CLASSES, LossOptions()).isnan()


@pytest.mark.parametrize("size_px", [64, 72, 96])
def test_model__takes_views_of_any_side(size_px: int) -> None:
    model = new_model("faster_rcnn", score_threshold=0.0).eval()
    views = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8)
    with torch.inference_mode():
        assert model(views)[..., :4].max() <= size_px


def test_pooling__equals_torchvision() -> None:
    generator = torch.Generator().manual_seed(3)
    sides = (40, 20, 10)
    maps = {
        str(i): torch.randn(2, 16, side, side, generator=generator, requires_grad=True)
        for i, side in enumerate(sides)
    }
    low = 330 * torch.rand(2, 60, 2, generator=generator) - 15
    boxes = list(torch.cat([low, low + 200 * torch.rand(2, 60, 2, generator=generator)], dim=2))
    boxes[1] = boxes[1][:7]
    asked = (maps, boxes, [(320, 320)] * 2)
    ours, theirs = BoxPooling("012")(*asked), MultiScaleRoIAlign(list("012"), 7, 2)(*asked)
    assert torch.allclose(ours, theirs, atol=1e-4)
    # Not plain sums, whose gradients would hide what goes where.
    weights = torch.randn(theirs.shape, generator=generator)
    parts = list(maps.values())
    for mine, other in zip(
        torch.autograd.grad((ours * weights).sum(), parts),
        torch.autograd.grad((theirs * weights).sum(), parts),
        strict=True,
    ):
        assert torch.allclose(mine, other, atol=1e-4)


def test_anchors__lie_around_the_middle_of_each_place() -> None:
    anchors = Anchors((2.0,), (1.0, 4.0))
    found = anchors([torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)], 32)
    assert len(anchors) == 2 and found.shape == (2 * (16 + 4), 4)
    assert found[0].tolist() == [-4, -4, 12, 12]
    assert found[1].tolist() == [0, -12, 8, 20]
    assert found[-2].tolist() == [8, 8, 40, 40]


@pytest.mark.parametrize("place", ["map", "neck", "box"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_detections__of_what_is_not_finite_are_no_number(architecture: str, place: str) -> None:
    model = new_model(architecture).eval()
    views, _ = draw_views()
    with torch.inference_mode():
        maps = [one.clone() for one in model.features(views)]  # type: ignore[union-attr]
        sound = model.head(tuple(maps))
        if place == "map":
            maps[1][2, :, -1, -1] = float("inf")
            assert model.head(tuple(maps))[2, 0].isnan().all()
        elif place == "neck":
            maps[0][2, 0, 0, 0] = float("nan")
        else:  # finite maps, of which what comes next is not
            maps[-1][2] = 3e38
        found = model.head(tuple(maps))
    odd = found.flatten(1).isfinite().all(dim=1).logical_not().tolist()
    assert odd == [False, False, True, False, False]
    others = [0, 1, 3, 4]
    assert torch.equal(found[others], sound[others])
