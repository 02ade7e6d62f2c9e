"""How augmentation treats an image and its point: they move together."""

from typing import Any

import numpy as np

from graft.vision.records import Array, Truth


def compose_options() -> dict[str, Any]:
    """Points travel in px of the image, out of it too."""
    import albumentations as A

    return {"keypoint_params": A.KeypointParams(format="xy", remove_invisible=False)}


def transform(compose: Any, pixels: Array, truth: Truth) -> tuple[Array, Truth]:
    """Augment (H, W, C) uint8 pixels; the point comes out in px of the pixels that come out.

    albumentations means the centre of a pixel by its number, others its corner: half a pixel.
    """
    if "point_xy" not in truth:  # a preview has none
        return compose(image=pixels, keypoints=np.zeros((0, 2), np.float32))["image"], truth
    sides = np.array(pixels.shape[1::-1], np.float32)
    point = truth["point_xy"] * sides - 0.5
    found = compose(image=pixels, keypoints=point[None])
    moved = np.asarray(found["keypoints"], np.float32)[0] + np.float32(0.5)
    return found["image"], {**truth, "point_xy": moved}
