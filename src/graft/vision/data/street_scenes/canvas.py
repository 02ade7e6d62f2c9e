"""What is painted on: colour in daylight, what shines by itself, and the truth of each pixel."""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from graft.vision.data.street_scenes.camera import FRAME_HEIGHT_PX, FRAME_WIDTH_PX
from graft.vision.records import Array

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""

MASK_CLASSES = (
    "background",
    "road",
    "sidewalk",
    "sky",
    "vegetation",
    "vehicle",
    "pedestrian",
    "traffic_sign",
)
BOX_CLASSES = ("vehicle", "pedestrian", "traffic_sign")
SKY_DEPTH_M = 300.0
"""Near enough that the sky keeps its colours on a clear day, far enough to drown in fog."""
_SUBPIXEL_BITS = 4


class Thing(NamedTuple):
    """What a painted pixel belongs to."""

    name: str
    """One of MASK_CLASSES."""
    depth_m: float
    instance: int = 0
    """0 for what is not counted one by one."""


@dataclass
class Canvas:
    """Layers of one frame, each FRAME_HEIGHT_PX × FRAME_WIDTH_PX; near things are painted last."""

    colour: Array = field(default_factory=lambda: _layer(np.uint8, 3))
    light: Array = field(default_factory=lambda: _layer(np.uint8, 3))
    """What shines by itself: lamps, lit windows."""
    classes: Array = field(default_factory=lambda: _layer(np.uint8))
    instances: Array = field(default_factory=lambda: _layer(np.uint16))
    depth_m: Array = field(default_factory=lambda: _layer(np.float32))
    names: list[str] = field(default_factory=list)
    """Class of each instance; instance 1 is names[0]."""

    def thing(self, name: str, depth_m: float) -> Thing:
        """A new countable thing, with an instance of its own."""
        self.names.append(name)
        return Thing(name, depth_m, len(self.names))

    def solid(self, points: Array, colour: Colour, thing: Thing) -> None:
        """Paint a polygon (N, 2) that covers what is behind it."""
        fixed = _fixed(points)
        self.detail(points, colour)
        cv2.fillPoly(self.light, [fixed], (0, 0, 0), cv2.LINE_8, _SUBPIXEL_BITS)
        for layer, value in (
            (self.classes, MASK_CLASSES.index(thing.name)),
            (self.instances, thing.instance),
            (self.depth_m, thing.depth_m),
        ):
            cv2.fillPoly(layer, [fixed], (value,), cv2.LINE_8, _SUBPIXEL_BITS)

    def detail(self, points: Array, colour: Colour) -> None:
        """Paint a polygon (N, 2) on something already there; the truth stays."""
        cv2.fillPoly(self.colour, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def shine(self, points: Array, colour: Colour) -> None:
        """Let a polygon (N, 2) shine by itself in this colour."""
        cv2.fillPoly(self.light, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def darken(self, points: Array, share: float) -> None:
        """Lay a soft shadow on a polygon (N, 2); 0 leaves it, 1 makes it black."""
        x, y, w, h = _clipped(points)
        if w <= 0 or h <= 0:
            return
        shadow = np.zeros((h, w), np.float32)
        cv2.fillPoly(shadow, [_fixed(points - (x, y))], (share,), cv2.LINE_8, _SUBPIXEL_BITS)
        soft = cv2.blur(shadow, (5, 3))
        part = self.colour[y : y + h, x : x + w]
        part[:] = (part * (1 - soft[..., None])).astype(np.uint8)


def ellipse(centre: tuple[float, float], radii: tuple[float, float], corners: int = 16) -> Array:
    """The corners (N, 2) of an ellipse."""
    return _circle(corners) * radii + centre


def quad(left: float, top: float, right: float, bottom: float) -> Array:
    """The corners (4, 2) of an upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour lighter (above 1) or darker."""
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """The colour this share of the way from one to the other."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@cache
def _circle(corners: int) -> Array:
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _layer(kind: type, channels: int = 1) -> Array:
    shape = (FRAME_HEIGHT_PX, FRAME_WIDTH_PX, channels)
    return np.zeros(shape if channels > 1 else shape[:2], kind)


def _fixed(points: Array) -> Array:
    """Points as OpenCV wants them, with fractions of a pixel."""
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _clipped(points: Array) -> tuple[int, int, int, int]:
    left, top = np.maximum(np.floor(points.min(axis=0)) - 3, 0).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 4
    right, bottom = min(right, FRAME_WIDTH_PX), min(bottom, FRAME_HEIGHT_PX)
    return int(left), int(top), int(right - left), int(bottom - top)
