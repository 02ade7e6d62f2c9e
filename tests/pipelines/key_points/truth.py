"""What annotators said: a box, whose centre is the point."""

import json
from collections.abc import Sequence

import numpy as np

from graft.vision.errors import DataError
from graft.vision.records import MaskReader, Truth
from graft.vision.task import ClassTable


def read_truth(texts: Sequence[str], classes: ClassTable, masks: MaskReader) -> list[Truth]:
    """Per image ``point_xy`` (2,) float32 as shares of the image, ``targets`` (C,) one-hot.

    Raises:
        DataError: for an image with other than one box.
    """
    return [_encode(text, classes) for text in texts]


def point_in(text: str) -> tuple[np.ndarray, np.ndarray, str]:
    """The point in px of the upright original, the original's width and height, and its class."""
    said = json.loads(text)
    if len(said["boxes_xyxy"]) != 1:
        raise DataError(
            "an image has other than one key point",
            found=len(said["boxes_xyxy"]),
            mend="leave the image out, or state one box around its point",
        )
    x0, y0, x1, y1 = said["boxes_xyxy"][0]
    return np.array([x0 + x1, y0 + y1]) / 2, np.array(said["size_px"]), said["classes"][0]


def _encode(text: str, classes: ClassTable) -> Truth:
    point, size_px, name = point_in(text)
    targets = np.array([name == known for known in classes.names], np.float32)
    return {"point_xy": (point / size_px).astype(np.float32), "targets": targets}
