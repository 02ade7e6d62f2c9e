"""One stage without anchors: FCOS (Tian et al., 2019)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.ops import generalized_box_iou_loss

from graft.vision.task import LossOptions
from graft.vision.tasks.detection.detector import Maps, Objects, best_boxes, unless_odd
from graft.vision.tasks.detection.focal import boxes_at, class_ids_at, focal_loss
from graft.vision.tasks.detection.options import TaskOptions
from graft.vision.tasks.detection.retinanet import GROUPS, candidates

RADIUS = 1.5
"""A place holds an object when it is within so many places of its middle."""
REACH = (4.0, 8.0)
"""Places to the farthest side of an object that a map is asked for; the finest map is also asked
for smaller ones, the coarsest for larger ones."""


class Fcos(nn.Module):
    """A class, four distances to the sides, and a centreness for every place."""

    def __init__(self, classes: int, options: TaskOptions) -> None:
        super().__init__()
        self._options = options
        channels, norm = options.pyramid_channels, partial(nn.GroupNorm, GROUPS)
        self.classes = FCOSClassificationHead(channels, 1, classes, norm_layer=norm)
        self.boxes = FCOSRegressionHead(channels, 1, norm_layer=norm)

    def losses(
        self, maps: Maps, side_px: int, objects: Sequence[Objects], options: LossOptions
    ) -> dict[str, torch.Tensor]:
        """``class`` (focal), ``box`` (generalised IoU) and ``centre``, per place on an object."""
        logits, (distances, centreness) = self.classes(list(maps)), self.boxes(list(maps))
        middles, strides = places(maps, side_px)
        matched = torch.stack([_match(boxes, middles, strides, maps) for boxes, _ in objects])
        class_ids = class_ids_at(objects, matched)
        there = matched >= 0
        wanted = boxes_at(objects, matched)
        middle = middles.expand(len(logits), -1, -1)[there]
        found = _boxes_around(middle, distances[there], strides.expand(len(logits), -1)[there])
        count = there.sum().clamp(min=1)
        box = generalized_box_iou_loss(found, wanted, reduction="sum")
        centre = F.binary_cross_entropy_with_logits(
            centreness[there][:, 0], _centreness(middle, wanted), reduction="sum"
        )
        return {
            "class": focal_loss(logits.flatten(0, 1), class_ids.flatten(), options),
            "box": box / count,
            "centre": centre / count,
        }

    def detect(self, maps: Maps, side_px: int) -> list[torch.Tensor]:
        """Per image (D, 6) detections, best first."""
        logits, (distances, centreness) = self.classes(list(maps)), self.boxes(list(maps))
        middles, strides = places(maps, side_px)
        scores = (logits.sigmoid() * centreness.sigmoid()).sqrt()
        found = []
        for each, sides in zip(scores, distances, strict=True):
            best, place, class_ids = candidates(each, self._options.score_threshold)
            boxes = _boxes_around(middles[place], sides[place], strides[place])
            found.append(
                best_boxes(
                    boxes,
                    best,
                    class_ids,
                    side_px,
                    self._options.nms_iou,
                    self._options.detections_per_image,
                )
            )
        return unless_odd(found, logits, distances, centreness)


def places(maps: Maps, side_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(P, 2) middles of all places in px of the view, and (P,) px per place of their map."""
    middles, strides = [], []
    for one in maps:
        stride = side_px / one.shape[-1]
        along = (torch.arange(one.shape[-1], device=one.device) + 0.5) * stride
        y, x = torch.meshgrid(along, along, indexing="ij")
        middles.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
        strides.append(torch.full((x.numel(),), stride, device=one.device))
    return torch.cat(middles), torch.cat(strides)


def _match(
    boxes: torch.Tensor, middles: torch.Tensor, strides: torch.Tensor, maps: Maps
) -> torch.Tensor:
    """(P,) the object of each place, the smallest of several; -1 where there is none."""
    if len(boxes) == 0:
        return torch.full((len(middles),), -1, device=middles.device)
    low, high = middles[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - middles[:, None]
    sides = torch.cat([low, high], dim=-1)  # (P, M, 4)
    away = (middles[:, None] - (boxes[:, :2] + boxes[:, 2:])[None] / 2).abs().amax(dim=-1)
    least, most = strides * REACH[0], strides * REACH[1]
    least[: maps[0][0, 0].numel()] = 0
    most[-maps[-1][0, 0].numel() :] = float("inf")
    farthest = sides.amax(dim=-1)
    holds = (
        (away < RADIUS * strides[:, None])
        & (sides.amin(dim=-1) > 0)
        & (farthest > least[:, None])
        & (farthest < most[:, None])
    )
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    smallest, chosen = torch.where(holds, areas, float("inf")).min(dim=1)
    return torch.where(smallest.isfinite(), chosen, -1)


def _boxes_around(
    middles: torch.Tensor, distances: torch.Tensor, strides: torch.Tensor
) -> torch.Tensor:
    """(P, 4) ``xyxy`` from distances left, top, right, bottom in places."""
    px = distances * strides[:, None]
    return torch.cat([middles - px[:, :2], middles + px[:, 2:]], dim=1)


def _centreness(middles: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """(P,) 1 in the middle of a box, 0 at its sides."""
    low, high = middles - boxes[:, :2], boxes[:, 2:] - middles
    shares = torch.minimum(low, high) / torch.maximum(low, high)
    return shares.prod(dim=1).clamp(min=0).sqrt()
