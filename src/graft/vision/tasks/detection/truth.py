"""What annotators said: boxes and their classes, as numbers."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from graft.vision.errors import DataError, nearest
from graft.vision.records import MaskReader, Truth
from graft.vision.task import ClassTable


def read_truth(texts: Sequence[str], classes: ClassTable, masks: MaskReader) -> list[Truth]:
    """Per image ``boxes_xyxy`` (M, 4) float32 as shares of the image, ``class_ids`` (M,) int64,
    and ``targets`` (C,) float32 of 0 and 1; an image without objects has M = 0.

    Raises:
        DataError: for a class that the table lacks, or a box without area or outside the image.
    """
    index = {name: i for i, name in enumerate(classes.names)}
    return [_encode(said_of(text), index) for text in texts]


def said_of(text: str) -> dict[str, Any]:
    """A truth text as a mapping. Raises `DataError` for what is no truth of detection."""
    said: dict[str, Any] = json.loads(text)
    if "boxes_xyxy" not in said:
        raise DataError(
            "a truth of detection has no boxes",
            found=sorted(said),
            allowed="boxes_xyxy, classes, size_px",
            mend="set ingestion.source.layout to one that reads boxes, and run ingestion again",
        )
    return said


def targets_of(class_ids: np.ndarray, count: int) -> np.ndarray:
    """(count,) float32: 1 for each class that is there."""
    targets = np.zeros(count, np.float32)
    targets[class_ids] = 1
    return targets


def _encode(said: dict[str, Any], index: dict[str, int]) -> Truth:
    for name in said["classes"]:
        if name not in index:
            raise DataError(
                f"class {name!r} is not among the classes learned{nearest(name, index)}",
                allowed=list(index)[:20],
            )
    class_ids = np.array([index[name] for name in said["classes"]], np.int64)
    return {
        "boxes_xyxy": _shares(said),
        "class_ids": class_ids,
        "targets": targets_of(class_ids, len(index)),
    }


def _shares(said: dict[str, Any]) -> np.ndarray:
    """(M, 4) float32 in 0..1 from boxes in px of the upright original."""
    boxes = np.array(said["boxes_xyxy"], float).reshape(-1, 4)
    shares = boxes / np.tile(np.array(said["size_px"], float), 2)
    shares = shares.astype(np.float32)
    whole = (shares[:, :2] >= 0).all() and (shares[:, 2:] <= 1).all()
    if not whole or not (shares[:, 2:] > shares[:, :2]).all():
        raise DataError(
            "a box lies outside its image or has no area",
            found=f"{boxes.tolist()[:4]} in {said['size_px']} px",
            allowed="0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height",
            mend="run ingestion again, which refuses such boxes by file and row",
        )
    return shares
