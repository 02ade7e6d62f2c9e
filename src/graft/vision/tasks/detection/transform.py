"""How augmentation treats an image and its boxes: they move together."""

from typing import Any

import numpy as np

from graft.vision.data.shown_truths import VISIBLE_SHARE
from graft.vision.records import Array, Truth
from graft.vision.tasks.detection.truth import targets_of


def compose_options() -> dict[str, Any]:
    """Boxes travel as shares of the image, are clipped to it, and take their classes along."""
    import albumentations as A

    return {
        "bbox_params": A.BboxParams(
            format="albumentations",
            label_fields=["class_ids"],
            clip=True,
            min_visibility=VISIBLE_SHARE,
        )
    }


def transform(compose: Any, pixels: Array, truth: Truth) -> tuple[Array, Truth]:
    """Augment (H, W, C) uint8 pixels; the boxes come out in px of the pixels that come out.

    A truth without boxes (a preview has none) comes out as it is.
    """
    boxes = truth.get("boxes_xyxy", np.zeros((0, 4), np.float32))
    class_ids = truth.get("class_ids", np.zeros(0, np.int64))
    found = compose(image=pixels, bboxes=boxes, class_ids=class_ids)
    view = found["image"]
    if "boxes_xyxy" not in truth:
        return view, truth
    height, width = view.shape[:2]
    sides = np.array([width, height, width, height], np.float32)
    kept = np.asarray(found["class_ids"]).astype(np.int64).reshape(-1)
    return view, {
        "boxes_xyxy": np.asarray(found["bboxes"], np.float32).reshape(-1, 4) * sides,
        "class_ids": kept,
        "targets": targets_of(kept, len(truth["targets"])),
    }
