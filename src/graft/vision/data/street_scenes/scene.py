"""One scene: composed, photographed, and told as truth."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.backdrop import paint_backdrop
from graft.vision.data.street_scenes.camera import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, draw_camera
from graft.vision.data.street_scenes.drives import SceneOrder
from graft.vision.data.street_scenes.pedestrians import plan_pedestrians
from graft.vision.data.street_scenes.roadside import plan_roadside
from graft.vision.data.street_scenes.signs import plan_signs
from graft.vision.data.street_scenes.stage import SignSight, Stage
from graft.vision.data.street_scenes.vehicles import plan_vehicles
from graft.vision.data.street_scenes.weather import develop
from graft.vision.records import Array

PICTURE_HEIGHT_PX, PICTURE_WIDTH_PX = FRAME_HEIGHT_PX // 2, FRAME_WIDTH_PX // 2
CROP_MIN_PX, CROP_MAX_PX = 24, 64
_VISIBLE_SHARE_MIN = 0.6
_BOX_AREA_MIN_PX = 12


@dataclass(frozen=True)
class SceneObject:
    """A counted thing as far as it can be seen in the picture."""

    name: str
    """One of BOX_CLASSES."""
    instance: int
    box_xywh: tuple[int, int, int, int]
    area_px: int


@dataclass(frozen=True)
class Scene:
    """A picture of PICTURE_HEIGHT_PX × PICTURE_WIDTH_PX with its truth."""

    picture: Array
    """(H, W, 3) uint8, RGB."""
    mask: Array
    """(H, W) uint8, indices into MASK_CLASSES."""
    instances: Array
    """(H, W) uint16, 0 where nothing is counted."""
    objects: list[SceneObject]
    sign_crops: list[tuple[str, Array]]
    """Class and pixels (h, w, 3) uint8, cut from the camera's frame of twice the size."""


def render_scene(order: SceneOrder) -> Scene:
    """Render one scene from its order alone; the same order gives the same pixels."""
    rng, drive = order.rng(), order.drive
    stage = Stage(draw_camera(rng, drive.street.bend_per_m), drive.street, drive.conditions, rng)
    _paint(stage, order.sign_classes)
    frame = develop(stage)
    size = (PICTURE_WIDTH_PX, PICTURE_HEIGHT_PX)
    # The truth is every second pixel; a mean of indices would be another class.
    instances = stage.canvas.instances[::2, ::2].copy()
    return Scene(
        picture=cv2.resize(frame, size, interpolation=cv2.INTER_AREA),
        mask=stage.canvas.classes[::2, ::2].copy(),
        instances=instances,
        objects=_find_objects(instances, stage.canvas.names),
        sign_crops=_cut_signs(stage, frame),
    )


def _paint(stage: Stage, sign_classes: tuple[str, ...]) -> None:
    """Everything from far to near, so that what is near covers what is far."""
    paint_backdrop(stage)
    street, rng = stage.street, stage.rng
    items = plan_roadside(street, rng)
    items += plan_vehicles(street, rng)
    items += plan_pedestrians(street, rng)
    items += plan_signs(sign_classes, stage.camera, street, rng)
    for item in sorted(items, key=lambda item: -item.depth_m):
        item.paint(stage)


def _find_objects(instances: Array, names: list[str]) -> list[SceneObject]:
    """What is seen of each counted thing; slivers are left out."""
    objects = []
    for instance, name in enumerate(names, start=1):
        rows, columns = np.nonzero(instances == instance)
        if len(rows) >= _BOX_AREA_MIN_PX:
            left, top = int(columns.min()), int(rows.min())
            width, height = int(columns.max()) - left + 1, int(rows.max()) - top + 1
            objects.append(SceneObject(name, instance, (left, top, width, height), len(rows)))
    return objects


def _cut_signs(stage: Stage, frame: Array) -> list[tuple[str, Array]]:
    """A crop of each sign of which enough can be seen."""
    seen = np.bincount(stage.canvas.instances.ravel(), minlength=len(stage.canvas.names) + 1)
    crops = []
    for sight in stage.sights:
        x, y, w, h = _draw_crop(sight, stage.rng)
        if seen[sight.instance] >= _VISIBLE_SHARE_MIN * sight.painted_px:
            crops.append((sight.sign_class, frame[y : y + h, x : x + w].copy()))
    return crops


def _draw_crop(sight: SignSight, rng: Generator) -> tuple[int, int, int, int]:
    """A box around the sign, as loose and as crooked as a detector's, inside the frame."""
    left, top, right, bottom = sight.box_xyxy
    side = max(right - left, bottom - top)
    w, h = np.clip(side * rng.uniform(1.02, 1.4) * rng.uniform(0.94, 1.06, 2),
                   CROP_MIN_PX, CROP_MAX_PX).astype(int)  # fmt: skip
    middle = np.array([left + right, top + bottom]) / 2 + rng.normal(0, 0.05 * side, 2)
    x = np.clip(round(middle[0] - w / 2), 0, FRAME_WIDTH_PX - w)
    y = np.clip(round(middle[1] - h / 2), 0, FRAME_HEIGHT_PX - h)
    return int(x), int(y), int(w), int(h)
