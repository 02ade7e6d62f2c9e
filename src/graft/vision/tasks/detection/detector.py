"""What the three kinds of detectors have in common."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torchvision.ops import batched_nms, clip_boxes_to_image

from graft.vision.task import LossOptions

Maps = Sequence[torch.Tensor]
"""(N, C, S / stride, S / stride) float32 maps of one pyramid, fine to coarse."""
Objects = tuple[torch.Tensor, torch.Tensor]
"""Boxes (M, 4) ``xyxy`` in px of the view, and their class ids (M,), of one image."""


ODD = float("nan")


class Detector(Protocol):
    """Finds objects on a pyramid of maps of square views of side ``side_px``."""

    def losses(
        self, maps: Maps, side_px: int, objects: Sequence[Objects], options: LossOptions
    ) -> dict[str, torch.Tensor]:
        """Scalar terms whose sum is to become small."""

    def detect(self, maps: Maps, side_px: int) -> list[torch.Tensor]:
        """Per image (D, 6): ``x0, y0, x1, y1`` in px, score, class id; best first.

        Of an image of which anything said is not finite, one row of NaN.
        """


def class_weights(options: LossOptions, like: torch.Tensor) -> torch.Tensor | None:
    """(C,) weights of the classes on the device of ``like``; None when all weigh the same."""
    return None if options.class_weights is None else like.new_tensor(options.class_weights)


def unless_odd(found: Iterable[torch.Tensor], *said: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """(D, 6) detections per image; one row of NaN where not all that was ``said`` of it is finite.

    Thresholds drop what is not finite, and that nothing is there would be an answer.
    """
    return [
        one if all(bool(part.isfinite().all()) for part in parts) else one.new_full((1, 6), ODD)
        for one, *parts in zip(found, *said, strict=True)
    ]


def best_boxes(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    class_ids: torch.Tensor,
    side_px: int,
    nms_iou: float,
    most: int,
) -> torch.Tensor:
    """(D, 6) detections: clipped to the view, each class thinned by NMS, best first."""
    boxes = clip_boxes_to_image(boxes, (side_px, side_px))
    wide = ((boxes[:, 2:] - boxes[:, :2]) > 0.01).all(dim=1)
    boxes, scores, class_ids = boxes[wide], scores[wide], class_ids[wide]
    kept = batched_nms(boxes, scores, class_ids, nms_iou)[:most]
    return torch.cat(
        [boxes[kept], scores[kept, None], class_ids[kept, None].to(boxes.dtype)], dim=1
    )
