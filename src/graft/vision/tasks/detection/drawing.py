"""Boxes on pictures, as reports show them."""

import cv2
import numpy as np

from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tasks.detection.boxes import Boxes

COLOURS = (
    (11, 110, 153),
    (194, 87, 26),
    (79, 122, 40),
    (122, 79, 163),
    (176, 38, 92),
    (20, 140, 120),
    (150, 120, 10),
    (60, 80, 200),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LEAST_SCORE = 0.2
"""Predictions below this are not drawn at all."""


def draw_boxes(
    pixels: Array,
    boxes: Boxes,
    scale: Array,
    classes: ClassTable,
    sure: float,
    *,
    scored: bool = False,
) -> Array:
    """Draw boxes with their names on a copy of (H, W, C) uint8 pixels; returns (H, W, 3).

    Args:
        scale: (4,) factors from the boxes' px to those of the pixels.
        sure: boxes of this score or more are drawn thick and named; the others thin.
        scored: whether names carry the score.
    """
    canvas = np.ascontiguousarray(np.broadcast_to(pixels[:, :, :3], (*pixels.shape[:2], 3)))
    canvas = canvas.copy()
    thick = max(1, round(min(canvas.shape[:2]) / 200))
    for i in np.argsort(boxes.scores, kind="stable"):
        score = float(boxes.scores[i])
        if score < LEAST_SCORE:
            continue
        corner = np.round(boxes.xyxy[i] * scale).astype(int).tolist()
        colour = COLOURS[int(boxes.class_ids[i]) % len(COLOURS)]
        is_sure = score >= sure
        width = thick if is_sure else 1
        cv2.rectangle(canvas, corner[:2], corner[2:], colour, width, cv2.LINE_AA)
        if is_sure:
            name = classes.names[int(boxes.class_ids[i])]
            _write(canvas, f"{name} {score:.2f}" if scored else name, corner, colour)
    return canvas


def _write(canvas: Array, text: str, corner: list[int], colour: tuple[int, int, int]) -> None:
    """A name on a ground of its box's colour, inside the picture."""
    size = max(0.3, min(canvas.shape[:2]) / 900)
    (width, height), below = cv2.getTextSize(text, FONT, size, 1)
    left = max(0, min(corner[0], canvas.shape[1] - width))
    bottom = max(height + below, corner[1])
    cv2.rectangle(canvas, (left, bottom - height - below), (left + width, bottom), colour, -1)
    cv2.putText(
        canvas, text, (left, bottom - below // 2), FONT, size, (255, 255, 255), 1, cv2.LINE_AA
    )
