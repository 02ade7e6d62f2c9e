"""Twelve traffic signs as they leave the works: clean, flat, seen from the front.

Coordinates on a face run from -1 to 1, x to the right and y down.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from graft.vision.data.street_scenes.canvas import Colour
from graft.vision.records import Array

FACE_SIDE_PX = 96
_DRAWN_SIDE_PX = 384  # drawn four times as large, then reduced: smooth edges
RED: Colour = (196, 26, 36)
BLUE: Colour = (18, 84, 168)
YELLOW: Colour = (248, 188, 24)
WHITE: Colour = (238, 238, 234)
BLACK: Colour = (22, 22, 26)

# Strokes of each glyph: (centre x, centre y, radius x, radius y, from, to) in degrees clockwise
# from the right, or a list of corners; the box runs from 0 to 1.
_Stroke = tuple[float, ...] | list[tuple[float, float]]
_GLYPHS: dict[str, tuple[_Stroke, ...]] = {
    "0": ((0.5, 0.5, 0.44, 0.5, 0, 360),),
    "3": ((0.46, 0.26, 0.40, 0.26, -160, 90), (0.46, 0.75, 0.46, 0.25, -90, 160)),
    "5": ([(0.88, 0), (0.2, 0), (0.12, 0.46)], (0.46, 0.69, 0.46, 0.31, -140, 155)),
    "8": ((0.5, 0.25, 0.38, 0.25, 0, 360), (0.5, 0.74, 0.45, 0.26, 0, 360)),
    "S": ((0.5, 0.26, 0.42, 0.26, -30, -270), (0.5, 0.76, 0.42, 0.24, -90, 155)),
    "T": ([(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]),
    "O": ((0.5, 0.5, 0.46, 0.5, 0, 360),),
    "P": ([(0.05, 1), (0.05, 0), (0.5, 0)], (0.5, 0.28, 0.45, 0.28, -90, 90),
          [(0.5, 0.56), (0.05, 0.56)]),
}  # fmt: skip


class Face:
    """A plate under the brush: colour and, where the plate is, cover."""

    def __init__(self) -> None:
        side = _DRAWN_SIDE_PX
        self.rgba = np.zeros((side, side, 4), np.uint8)

    def fill(self, points: object, colour: Colour) -> None:
        """Fill a polygon (N, 2)."""
        cv2.fillPoly(self.rgba, [self._pixels(points)], (*colour, 255))

    def stroke(self, points: object, width: float, colour: Colour, *, closed: bool = False) -> None:
        """Draw a line of this width with round joints."""
        thickness = max(1, round(width * _DRAWN_SIDE_PX / 2))
        cv2.polylines(self.rgba, [self._pixels(points)], closed, (*colour, 255), thickness)

    def disc(self, radius: float, colour: Colour, x: float = 0.0, y: float = 0.0) -> None:
        """Fill a disc."""
        self.fill(_arc(x, y, radius, radius, 0, 360), colour)

    def text(self, text: str, width: float, height: float, stroke: float, colour: Colour) -> None:
        """Write glyphs of this size around the middle."""
        pitch = width * 1.42
        for i, glyph in enumerate(text):
            left = (i - (len(text) - 1) / 2) * pitch - width / 2
            for part in _GLYPHS[glyph]:
                points = np.array(part if isinstance(part, list) else _arc(*part))
                at = points * (width, height) + (left, -height / 2)
                self.stroke(at, stroke, colour)

    def finished(self) -> Array:
        """The face (FACE_SIDE_PX, FACE_SIDE_PX, 4) uint8, colours multiplied by their cover."""
        size = (FACE_SIDE_PX, FACE_SIDE_PX)
        return cv2.resize(self.rgba, size, interpolation=cv2.INTER_AREA)

    def _pixels(self, points: object) -> Array:
        across = (np.asarray(points, np.float64) + 1) / 2 * (_DRAWN_SIDE_PX - 1)
        return np.round(across).astype(np.int32)


@cache
def sign_face(name: str) -> Array:
    """The clean face of one of SIGN_CLASSES, (96, 96, 4) uint8 with premultiplied cover."""
    face = Face()
    _PAINTERS[name](face)
    rgba = face.finished()
    rgba.flags.writeable = False
    return rgba


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Array:
    turn = np.radians(np.linspace(start, end, 40))
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def _polygon(corners: int, radius: float, turned_deg: float) -> Array:
    turn = np.radians(np.arange(corners) * 360 / corners + turned_deg)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _triangle(face: Face, *, down: bool = False) -> None:
    corners = np.array([(0, -0.76), (0.84, 0.7), (-0.84, 0.7)]) * (1, -1 if down else 1)
    face.fill(corners, WHITE)
    face.stroke(corners, 0.25, RED, closed=True)


def _prohibition(face: Face) -> None:
    face.disc(0.97, RED)
    face.disc(0.72, WHITE)


def _mandatory(face: Face) -> None:
    face.disc(0.97, WHITE)
    face.disc(0.92, BLUE)


def _stop(face: Face) -> None:
    face.fill(_polygon(8, 0.99, 22.5), WHITE)
    face.fill(_polygon(8, 0.92, 22.5), RED)
    face.text("STOP", 0.26, 0.52, 0.11, WHITE)


def _yield(face: Face) -> None:
    _triangle(face, down=True)


def _no_entry(face: Face) -> None:
    face.disc(0.97, WHITE)
    face.disc(0.92, RED)
    face.fill([(-0.68, -0.17), (0.68, -0.17), (0.68, 0.17), (-0.68, 0.17)], WHITE)


def _speed_limit(digits: str) -> Callable[[Face], None]:
    def paint(face: Face) -> None:
        _prohibition(face)
        face.text(digits, 0.4, 0.68, 0.15, BLACK)

    return paint


def _no_overtaking(face: Face) -> None:
    _prohibition(face)
    for x, colour in ((-0.29, RED), (0.29, BLACK)):
        cabin = [(-0.15, 0.0), (-0.09, -0.24), (0.09, -0.24), (0.15, 0.0)]
        tyre = [(-0.06, 0.2), (0.06, 0.2), (0.06, 0.31), (-0.06, 0.31)]
        body = [(-0.23, 0.2), (-0.23, -0.02), (0.23, -0.02), (0.23, 0.2)]
        left, right = ([(a + w, b) for a, b in tyre] for w in (-0.16, 0.16))
        for shape in (cabin, body, left, right):
            face.fill([(x + a, b) for a, b in shape], colour)


def _priority_road(face: Face) -> None:
    for radius, colour in ((0.99, WHITE), (0.93, BLACK), (0.89, WHITE), (0.66, YELLOW)):
        face.fill(_polygon(4, radius, 0), colour)


def _turn_right(face: Face) -> None:
    _mandatory(face)
    face.stroke([(-0.4, 0.58), (-0.4, 0.02), (-0.28, -0.12), (0.28, -0.12)], 0.22, WHITE)
    face.fill([(0.2, -0.5), (0.72, -0.12), (0.2, 0.26)], WHITE)


def _ahead_only(face: Face) -> None:
    _mandatory(face)
    face.stroke([(0, 0.66), (0, -0.2)], 0.22, WHITE)
    face.fill([(-0.38, -0.16), (0, -0.7), (0.38, -0.16)], WHITE)


def _pedestrian_crossing(face: Face) -> None:
    _triangle(face)
    face.disc(0.085, BLACK, 0.02, -0.26)
    face.stroke([(0.0, -0.12), (-0.02, 0.14)], 0.13, BLACK)
    face.stroke([(-0.02, 0.14), (0.14, 0.46)], 0.08, BLACK)
    face.stroke([(-0.02, 0.14), (-0.18, 0.44)], 0.08, BLACK)
    face.stroke([(0.18, 0.1), (0.02, -0.08), (-0.18, 0.1)], 0.06, BLACK)
    for x in (-0.4, -0.14, 0.12, 0.38):
        face.fill([(x - 0.09, 0.5), (x + 0.07, 0.5), (x + 0.09, 0.56), (x - 0.07, 0.56)], BLACK)


def _danger_curve(face: Face) -> None:
    _triangle(face)
    face.stroke(
        [(-0.16, 0.5), (-0.16, 0.2), (-0.05, 0.04), (0.06, -0.08), (0.09, -0.14)], 0.13, BLACK
    )
    face.fill([(-0.08, -0.16), (0.14, -0.38), (0.26, -0.08)], BLACK)


_PAINTERS: dict[str, Callable[[Face], None]] = {
    "ahead_only": _ahead_only,
    "danger_curve": _danger_curve,
    "no_entry": _no_entry,
    "no_overtaking": _no_overtaking,
    "pedestrian_crossing": _pedestrian_crossing,
    "priority_road": _priority_road,
    "speed_limit_30": _speed_limit("30"),
    "speed_limit_50": _speed_limit("50"),
    "speed_limit_80": _speed_limit("80"),
    "stop": _stop,
    "turn_right": _turn_right,
    "yield": _yield,
}
SIGN_CLASSES = tuple(_PAINTERS)
