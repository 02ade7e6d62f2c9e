"""Boxes on pictures, as reports show them."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tasks.detection.boxes import Boxes

Colour = tuple[int, int, int]
Corners = tuple[int, int, int, int]
COLOURS: tuple[Colour, ...] = (
    *((30, 120, 255), (255, 140, 0), (170, 240, 40), (240, 50, 230), (0, 225, 225)),
    *((255, 225, 25), (230, 25, 75), (40, 160, 70), (160, 90, 255), (170, 110, 40)),
    *((255, 170, 200), (0, 128, 128)),
)
INK: Colour = (16, 20, 26)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LEAST_SCORE = 0.2
"""Predictions below this are not drawn at all."""
DASH_PX = 5


def colour_of(class_id: int) -> Colour:
    """RGB of a class; beyond the palette its colours come again, darker."""
    turn, place = divmod(class_id, len(COLOURS))
    red, green, blue = (round(channel * 0.6**turn) for channel in COLOURS[place])
    return red, green, blue


def draw_boxes(
    pixels: Array,
    boxes: Boxes,
    scale: Array,
    classes: ClassTable,
    sure: float,
    *,
    right: Array | None = None,
    scored: bool = False,
) -> Array:
    """Draw boxes with their names on a copy of (H, W, C) uint8 pixels; returns (H, W, 3).

    Args:
        scale: (4,) factors from the boxes' px to those of the pixels.
        sure: boxes of this score or more are drawn thick and named; the others thin.
        right: (M,) bool; of those that are sure the others are dashed. None is, when None.
        scored: whether names carry the score.
    """
    canvas = np.ascontiguousarray(np.broadcast_to(pixels[:, :, :3], (*pixels.shape[:2], 3)))
    canvas = canvas.copy()
    right = np.ones(len(boxes), bool) if right is None else right
    order = [i for i in np.argsort(boxes.scores, kind="stable") if boxes.scores[i] >= LEAST_SCORE]
    limit = np.array([canvas.shape[1] - 1, canvas.shape[0] - 1] * 2)
    placed = np.clip(np.round(boxes.xyxy * scale), 0, limit).astype(int)
    for i in order:
        is_sure = boxes.scores[i] >= sure
        x0, y0, x1, y1 = placed[i].tolist()
        colour = colour_of(int(boxes.class_ids[i]))
        whole = bool(right[i]) or not is_sure
        _outline(canvas, (x0, y0, x1, y1), colour, thick=is_sure, whole=whole)
    taken: list[Corners] = []
    for i in order[::-1]:
        if boxes.scores[i] >= sure:
            name, score = classes.names[int(boxes.class_ids[i])], f"{boxes.scores[i]:.2f}"
            words = [f"{name} {score}", score] if scored else [name]
            _name(canvas, words, placed[i].tolist(), colour_of(int(boxes.class_ids[i])), taken)
    return canvas


def _outline(canvas: Array, box: Corners, colour: Colour, *, thick: bool, whole: bool) -> None:
    """A coloured line; a thick one has a dark rim, so that it is seen on any ground."""
    width = max(1, round(max(canvas.shape[:2]) / 240)) if thick else 1
    x0, y0, x1, y1 = box
    if thick and whole:
        cv2.rectangle(canvas, (x0, y0), (x1, y1), INK, width + 2)
    if whole:
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, width)
        return
    for (ax, ay), (bx, by) in (
        ((x0, y0), (x1, y0)),
        ((x1, y0), (x1, y1)),
        ((x1, y1), (x0, y1)),
        ((x0, y1), (x0, y0)),
    ):
        steps = max(1, round(max(abs(bx - ax), abs(by - ay)) / DASH_PX))
        edge = np.linspace([ax, ay], [bx, by], steps + 1).round().astype(int).tolist()
        for number, (start, end) in enumerate(pairwise(edge)):
            cv2.line(canvas, start, end, INK if number % 2 else colour, width)


def _name(
    canvas: Array, words: Sequence[str], box: list[int], colour: Colour, taken: list[Corners]
) -> None:
    """The longest words that fit above, below or in their box without lying on other words."""
    size = max(0.3, max(canvas.shape[:2]) / 1200)
    ink = INK if np.dot(colour, (0.3, 0.59, 0.11)) > 120 else (255, 255, 255)
    for text in words:
        (width, height), below = cv2.getTextSize(text, FONT, size, 1)
        width, height = width + 3, height + below
        left = max(0, min(box[0], canvas.shape[1] - width))
        for top in (box[1] - height, box[3] + 1, box[1]):
            place = (left, top, left + width, top + height)
            if top < 0 or place[3] > canvas.shape[0] or any(_meet(place, t) for t in taken):
                continue
            cv2.rectangle(canvas, place[:2], place[2:], colour, -1)
            at = (left + 2, place[3] - below)
            cv2.putText(canvas, text, at, FONT, size, ink, 1, cv2.LINE_AA)
            taken.append(place)
            return


def _meet(one: Corners, other: Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
