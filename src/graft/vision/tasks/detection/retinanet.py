"""One stage with anchors: RetinaNet (Lin et al., 2017)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou, generalized_box_iou_loss

from graft.vision.task import LossOptions
from graft.vision.tasks.detection.anchors import Anchors
from graft.vision.tasks.detection.detector import Maps, Objects, best_boxes, unless_odd
from graft.vision.tasks.detection.focal import boxes_at, class_ids_at, focal_loss
from graft.vision.tasks.detection.options import TaskOptions

GROUPS = 16
"""Of channels that are normalised together; the same layers see all maps, so that batch
statistics would mix them."""
CANDIDATES = 1000
"""Best of an image before NMS."""


class RetinaNet(nn.Module):
    """A class and a shift for every anchor at every place."""

    def __init__(self, classes: int, options: TaskOptions) -> None:
        super().__init__()
        self._options, self._classes = options, classes
        self.anchors = Anchors(options.anchor_scales, options.anchor_ratios)
        self.head = RetinaNetHead(
            options.pyramid_channels,
            len(self.anchors),
            classes,
            norm_layer=partial(nn.GroupNorm, GROUPS),
        )
        self._matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
        self._coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    def losses(
        self, maps: Maps, side_px: int, objects: Sequence[Objects], options: LossOptions
    ) -> dict[str, torch.Tensor]:
        """``class`` (focal) and ``box`` (generalised IoU), each per anchor on an object."""
        said, anchors = self.head(list(maps)), self.anchors(maps, side_px)
        matched = torch.stack([self._match(boxes, anchors) for boxes, _ in objects])
        class_ids = class_ids_at(objects, matched)
        counted = matched != Matcher.BETWEEN_THRESHOLDS
        there = matched >= 0
        found = self._coder.decode_single(
            said["bbox_regression"][there], anchors.expand(len(maps[0]), -1, -1)[there]
        )
        wanted = boxes_at(objects, matched)
        box = generalized_box_iou_loss(found, wanted, reduction="sum")
        return {
            "class": focal_loss(said["cls_logits"][counted], class_ids[counted], options),
            "box": box / there.sum().clamp(min=1),
        }

    def detect(self, maps: Maps, side_px: int) -> list[torch.Tensor]:
        """Per image (D, 6) detections, best first."""
        said, anchors = self.head(list(maps)), self.anchors(maps, side_px)
        logits, shifts = said["cls_logits"], said["bbox_regression"]
        found = [
            self._detect(one.sigmoid(), each, anchors, side_px)
            for one, each in zip(logits, shifts, strict=True)
        ]
        return unless_odd(found, logits, shifts)

    def _detect(
        self, scores: torch.Tensor, shifts: torch.Tensor, anchors: torch.Tensor, side_px: int
    ) -> torch.Tensor:
        best, place, class_ids = candidates(scores, self._options.score_threshold)
        boxes = self._coder.decode_single(shifts[place], anchors[place])
        return best_boxes(
            boxes,
            best,
            class_ids,
            side_px,
            self._options.nms_iou,
            self._options.detections_per_image,
        )

    def _match(self, boxes: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
        """(A,) the object of each anchor; -1 for background, -2 for what does not count."""
        if len(boxes) == 0:
            return torch.full((len(anchors),), -1, device=anchors.device)
        return self._matcher(box_iou(boxes, anchors))


def candidates(
    scores: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best of (P, C) scores above the threshold: scores, places, class ids."""
    flat = scores.flatten()
    best, place = flat.topk(min(CANDIDATES, len(flat)))
    best, place = best[best > threshold], place[best > threshold]
    return best, place // scores.shape[1], place % scores.shape[1]
