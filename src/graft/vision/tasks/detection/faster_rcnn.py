"""Two stages with anchors: Faster R-CNN (Ren et al., 2015) on a pyramid (Lin et al., 2017)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from graft.vision.task import LossOptions
from graft.vision.tasks.detection.anchors import Anchors
from graft.vision.tasks.detection.detector import ODD, Maps, Objects, class_weights, unless_odd
from graft.vision.tasks.detection.options import TaskOptions
from graft.vision.tasks.detection.pooling import BoxPooling

CANDIDATES, PROPOSALS = 300, 200
"""Of each map before NMS, and of each image after it."""
JUDGED_ANCHORS, JUDGED_PROPOSALS = 256, 128
"""Drawn per image for the losses of the first and of the second stage."""


class FasterRcnn(nn.Module):
    """Proposals from anchors, then a class and a box for each proposal."""

    def __init__(self, classes: int, options: TaskOptions) -> None:
        super().__init__()
        channels = options.pyramid_channels
        anchors = _AnchorsPerImage(options.anchor_scales, options.anchor_ratios)
        self.proposing = _Proposing(
            anchors,
            RPNHead(channels, len(anchors)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=JUDGED_ANCHORS,
            positive_fraction=0.5,
            pre_nms_top_n={"training": CANDIDATES, "testing": CANDIDATES},
            post_nms_top_n={"training": PROPOSALS, "testing": PROPOSALS},
            nms_thresh=0.7,
        )
        pooling = BoxPooling([str(i) for i in range(len(options.reductions))])
        self.judging = RoIHeads(
            pooling,
            _Units(channels * pooling.size**2, options.head_units),
            _ClassAndBox(options.head_units, classes),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=JUDGED_PROPOSALS,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=options.score_threshold,
            nms_thresh=options.nms_iou,
            detections_per_img=options.detections_per_image,
        )

    def losses(
        self, maps: Maps, side_px: int, objects: Sequence[Objects], options: LossOptions
    ) -> dict[str, torch.Tensor]:
        """``proposal`` and ``proposal_box`` of the first stage, ``class`` and ``box`` of the
        second; each per box judged."""
        targets = [{"boxes": boxes, "labels": ids + 1} for boxes, ids in objects]
        images, named = _as_torchvision(maps, side_px)
        proposals, first = self.proposing(images, named, targets)
        drawn, _, labels, shifts = self.judging.select_training_samples(proposals, targets)
        logits, said = self._judge(named, drawn, images)
        label = torch.cat(labels)
        weights = class_weights(options, logits)
        weights = None if weights is None else F.pad(weights, (1, 0), value=1.0)  # background
        smoothing = options.label_smoothing
        there = label > 0
        said = said.unflatten(1, (-1, 4))[there, label[there]]
        box = F.smooth_l1_loss(said, torch.cat(list(shifts))[there], beta=1 / 9, reduction="sum")
        return {
            "proposal": first["loss_objectness"],
            "proposal_box": first["loss_rpn_box_reg"],
            "class": F.cross_entropy(logits, label, weights, label_smoothing=smoothing),
            "box": box / max(1, len(label)),
        }

    def detect(self, maps: Maps, side_px: int) -> list[torch.Tensor]:
        """Per image (D, 6) detections, best first."""
        images, named = _as_torchvision(maps, side_px)
        proposals, _ = self.proposing(images, named)
        judged = [boxes.nan_to_num() for boxes in proposals]
        logits, shifts = self._judge(named, judged, images)
        found = self.judging.postprocess_detections(logits, shifts, judged, images.image_sizes)
        detections = [
            torch.cat([boxes, scores[:, None], labels[:, None] - 1.0], dim=1)
            for boxes, scores, labels in zip(*found, strict=True)
        ]
        counts = [len(boxes) for boxes in proposals]
        return unless_odd(detections, proposals, logits.split(counts), shifts.split(counts))

    def _judge(
        self, named: dict[str, torch.Tensor], proposals: list[torch.Tensor], images: ImageList
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of all proposals: (R, 1 + C) logits, background first, and (R, 4 * (1 + C)) shifts."""
        pooled = self.judging.box_roi_pool(named, proposals, images.image_sizes)
        logits, shifts = self.judging.box_predictor(self.judging.box_head(pooled))
        return logits, shifts


class _Proposing(RegionProposalNetwork):
    """The first stage, which proposes one box of NaN where not all that it says is finite."""

    def filter_proposals(
        self,
        proposals: torch.Tensor,
        objectness: torch.Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        boxes, scores = super().filter_proposals(
            proposals, objectness, image_shapes, num_anchors_per_level
        )
        if self.training:  # its loss tells
            return boxes, scores
        sure = objectness.reshape(len(proposals), -1)
        odd = ~(proposals.isfinite().flatten(1).all(dim=1) & sure.isfinite().all(dim=1))
        return [
            one.new_full((1, 4), ODD) if is_odd else one
            for one, is_odd in zip(boxes, odd.tolist(), strict=True)
        ], scores


class _AnchorsPerImage(Anchors):
    """Anchors as torchvision asks for them: once for each image of a batch."""

    def forward(self, images: ImageList, maps: Maps) -> list[torch.Tensor]:  # type: ignore[override]
        side_px = images.image_sizes[0][0]
        return [super().forward(maps, side_px)] * len(images.image_sizes)


class _Units(nn.Sequential):
    """Two layers on what was pooled."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(features, units),
            nn.ReLU(),
            nn.Linear(units, units),
            nn.ReLU(),
        )


class _ClassAndBox(nn.Module):
    """Logits of background and classes, and one shift of the box for all classes.

    One shift instead of one per class (as in Cai and Vasconcelos, 2018) learns from all objects.
    """

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        self.logits, self.shifts = nn.Linear(units, 1 + classes), nn.Linear(units, 4)
        for layer, std in ((self.logits, 0.01), (self.shifts, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.logits(features)
        return logits, self.shifts(features).repeat(1, logits.shape[1])


def _as_torchvision(maps: Maps, side_px: int) -> tuple[ImageList, dict[str, torch.Tensor]]:
    """The sizes of the views, and the maps by number."""
    images = ImageList(maps[0], [(side_px, side_px)] * len(maps[0]))
    return images, {str(i): one for i, one in enumerate(maps)}
