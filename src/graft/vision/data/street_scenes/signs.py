"""Traffic signs on posts: where they stand, how they hang, and how they are painted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.camera import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, Camera
from graft.vision.data.street_scenes.canvas import MASK_CLASSES, Canvas, Thing, ellipse, shade
from graft.vision.data.street_scenes.sign_faces import sign_face
from graft.vision.data.street_scenes.sign_wear import wear_down
from graft.vision.data.street_scenes.stage import Item, SignSight, Stage, Upright
from graft.vision.data.street_scenes.street import Street
from graft.vision.records import Array

SMALLEST_PX, LARGEST_PX = 20.0, 54.0
"""Side of a plate in the frame."""
_ATTEMPTS = 40


@dataclass(frozen=True)
class Plate:
    """One sign; x, y and z are its middle in the street."""

    sign_class: str
    x_m: float
    y_m: float
    z_m: float
    side_m: float
    roll_deg: float
    yaw_deg: float

    def corners_m(self) -> Array:
        """The corners (4, 3), from the upper left clockwise."""
        half = self.side_m / 2
        roll, yaw = np.radians(self.roll_deg), np.radians(self.yaw_deg)
        flat = np.array([[-half, half], [half, half], [half, -half], [-half, -half]])
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        across, up = (flat @ turn.T).T
        return np.stack(
            [self.x_m + across * np.cos(yaw), self.y_m + up, self.z_m + across * np.sin(yaw)],
            axis=1,
        )


def plan_signs(
    classes: Sequence[str], camera: Camera, street: Street, rng: Generator
) -> list[Item]:
    """Signs that do not cover each other; one that finds no place is left out."""
    plates: list[Plate] = []
    boxes: list[Array] = []
    for sign_class in classes:
        for _ in range(_ATTEMPTS):
            plate = _draw_plate(sign_class, camera, street, rng, plates)
            box = _box(camera.project(plate.corners_m()))
            if _inside(box) and not any(_touch(box, other) for other in boxes):
                plates.append(plate)
                boxes.append(box)
                break
    return [Item(plate.z_m, partial(_paint_sign, plate=plate)) for plate in plates]


def _draw_plate(
    sign_class: str, camera: Camera, street: Street, rng: Generator, plates: list[Plate]
) -> Plate:
    """On a post of its own, or under a sign that already stands."""
    roll, yaw = rng.normal(0, 4.5), rng.normal(0, 12)
    if plates and rng.random() < 0.25:
        upper = plates[rng.integers(len(plates))]
        below = upper.y_m - upper.side_m * 1.12
        return Plate(sign_class, upper.x_m, below, upper.z_m, upper.side_m, roll, upper.yaw_deg)
    side_px = SMALLEST_PX + (LARGEST_PX - SMALLEST_PX) * rng.beta(1.3, 1.6)
    side_m = rng.uniform(0.68, 0.95)
    z = camera.focal_px * side_m / side_px
    if rng.random() < 0.65:
        x = street.right_m + rng.uniform(0.35, 2.4)
    else:
        x = street.left_m - rng.uniform(0.35, 2.4)
    return Plate(sign_class, x, rng.uniform(2.0, 3.1), z, side_m, roll, yaw)


def _paint_sign(stage: Stage, plate: Plate) -> None:
    post = Upright(stage.camera, plate.x_m, plate.z_m)
    steel = shade((134, 138, 140), stage.rng.uniform(0.7, 1.1))
    pole = post([[-0.035, 0], [0.035, 0], [0.035, plate.y_m], [-0.035, plate.y_m]])
    stage.canvas.solid(pole, steel, Thing("background", plate.z_m))
    corners = stage.camera.project(plate.corners_m())
    face = wear_down(sign_face(plate.sign_class), stage.rng, stage.conditions.wear)
    thing = stage.canvas.thing("traffic_sign", plate.z_m)
    painted = paste_face(stage.canvas, face, corners, thing)
    left, top, right, bottom = (float(edge) for edge in _box(corners))
    stage.sights.append(
        SignSight(plate.sign_class, thing.instance, (left, top, right, bottom), painted)
    )
    if stage.rng.random() < 0.12:
        _paint_leaves(stage, plate, corners)


def paste_face(canvas: Canvas, face: Array, corners: Array, thing: Thing) -> int:
    """Paint a premultiplied face (S, S, 4) onto the corners (4, 2); returns the pixels covered."""
    left, top, right, bottom = _box(corners)
    x, y = int(np.floor(left)) - 1, int(np.floor(top)) - 1
    w, h = int(np.ceil(right)) + 2 - x, int(np.ceil(bottom)) + 2 - y
    # Reduced first, by area: a warp alone would skip pixels and the digits with them.
    side = max(8, round(max(w, h)))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    source = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32) - np.float32(0.5)
    warp = cv2.getPerspectiveTransform(source, (corners - (x, y)).astype(np.float32))
    warped = cv2.warpPerspective(small, warp, (w, h))
    part = np.s_[y : y + h, x : x + w]
    cover = warped[..., 3:] / 255
    canvas.colour[part] = canvas.colour[part] * (1 - cover) + warped[..., :3]
    inside = cover[..., 0] > 0.5
    canvas.light[part][inside] = 0
    canvas.classes[part][inside] = MASK_CLASSES.index(thing.name)
    canvas.instances[part][inside] = thing.instance
    canvas.depth_m[part][inside] = thing.depth_m
    return int(inside.sum())


def _paint_leaves(stage: Stage, plate: Plate, corners: Array) -> None:
    """A twig that hangs over one corner."""
    rng, thing = stage.rng, Thing("vegetation", plate.z_m)
    corner, middle = corners[rng.integers(4)], corners.mean(axis=0)
    side = float(np.abs(corners - middle).max())
    for _ in range(rng.integers(8, 22)):
        at = corner + (middle - corner) * rng.uniform(0, 0.8) + rng.normal(0, 0.22 * side, 2)
        radius = side * rng.uniform(0.08, 0.2)
        leaf = ellipse((at[0], at[1]), (radius, radius * rng.uniform(0.4, 0.9)), 8)
        stage.canvas.solid(leaf, shade((66, 98, 44), rng.uniform(0.6, 1.3)), thing)


def _box(points: Array) -> Array:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _inside(box: Array) -> bool:
    """Whether the plate leaves room for a crop around it."""
    left, top, right, bottom = box
    return bool(
        left > 6 and top > 6 and right < FRAME_WIDTH_PX - 6 and bottom < FRAME_HEIGHT_PX - 6
    )


def _touch(one: Array, other: Array) -> bool:
    margin = 2.0
    return bool((one[:2] < other[2:] + margin).all() and (other[:2] < one[2:] + margin).all())
