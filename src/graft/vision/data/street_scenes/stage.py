"""What everything that paints is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.camera import Camera
from graft.vision.data.street_scenes.canvas import Canvas
from graft.vision.data.street_scenes.conditions import Conditions
from graft.vision.data.street_scenes.street import Street
from graft.vision.records import Array


@dataclass(frozen=True)
class SignSight:
    """A sign as it was painted, before anything nearer hid a part of it."""

    sign_class: str
    instance: int
    box_xyxy: tuple[float, float, float, float]
    """Of the whole plate, in frame pixels; it may reach under what hides it."""
    painted_px: int
    """Pixels the plate covered."""


@dataclass
class Stage:
    """One scene while it is painted."""

    camera: Camera
    street: Street
    conditions: Conditions
    rng: Generator
    canvas: Canvas = field(default_factory=Canvas)
    sights: list[SignSight] = field(default_factory=list)


class Item(NamedTuple):
    """Something that stands in the street; what is farther is painted earlier."""

    depth_m: float
    paint: Callable[[Stage], None]


class Upright:
    """A plane across the street, for flat figures: points in metres become frame pixels."""

    def __init__(self, camera: Camera, x_m: float, z_m: float, scale: float = 1.0) -> None:
        self._camera, self._x, self._z, self._scale = camera, x_m, z_m, scale

    def __call__(self, points_m: object) -> Array:
        """Frame pixels (N, 2) of points (N, 2): metres to the right of its foot, and up."""
        points = np.asarray(points_m, np.float64)
        placed = np.empty((len(points), 3))
        placed[:, :2] = points * self._scale
        placed[:, 0] += self._x
        placed[:, 2] = self._z
        return self._camera.project(placed)
