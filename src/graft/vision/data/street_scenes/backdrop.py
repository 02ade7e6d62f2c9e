"""Sky, ground and road: what lies behind everything else."""

import cv2
import numpy as np

from graft.vision.data.street_scenes.canvas import (
    MASK_CLASSES,
    SKY_DEPTH_M,
    Colour,
    Thing,
    blend,
    shade,
)
from graft.vision.data.street_scenes.noise import smooth_noise, tinted
from graft.vision.data.street_scenes.stage import Stage
from graft.vision.records import Array

FAR_M = 260.0
_WHITE: Colour = (226, 226, 220)


def paint_backdrop(stage: Stage) -> None:
    """Paint the sky, the hills, the ground and the road with its markings."""
    _paint_sky(stage)
    _paint_skyline(stage)
    _paint_ground(stage)
    _paint_road(stage)
    _paint_markings(stage)


def ribbon(stage: Stage, left_m: float, right_m: float, near_m: float, far_m: float) -> Array:
    """The corners (N, 2) of a strip of ground along the street, which may bend."""
    z = np.geomspace(near_m, far_m, 18)
    flat = np.zeros_like(z)
    left = np.stack([flat + left_m, flat, z], axis=1)
    right = np.stack([flat + right_m, flat, z], axis=1)[::-1]
    return stage.camera.project(np.concatenate([left, right]))


def _paint_sky(stage: Stage) -> None:
    canvas, rng, conditions = stage.canvas, stage.rng, stage.conditions
    rows = int(np.clip(stage.camera.horizon_px + 2, 1, canvas.colour.shape[0]))
    shape = rows, canvas.colour.shape[1]
    height = np.linspace(0, 1, rows, dtype=np.float32)[:, None] ** 1.4 + np.zeros(shape, np.float32)
    # A cloud is lighter than the sky by day; at night it hides the little light there is.
    cloud = np.clip(smooth_noise(rng, shape, (5, 7)) * 2.2 - 1.1, 0, 1)
    cloud *= 0.7 * conditions.clouds * (0.5 + 0.5 * smooth_noise(rng, shape, (24, 40)))
    grey = [0.4 * low + 150 * (1 - conditions.lamps) for low in conditions.sky_low]
    sky = tinted((1 - height) * (1 - cloud), conditions.sky_top)
    sky += tinted(height * (1 - cloud), conditions.sky_low)
    sky += tinted(cloud, grey)
    # A town or the low sun glows beyond the horizon.
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None] - rng.normal(0, 0.5)
    halo = np.exp(-((across / 0.45) ** 2)) * height**3 * (0.4 + 0.6 * conditions.lamps)
    sky += tinted(halo.astype(np.float32), (60, 48, 30))
    canvas.colour[:rows] = cv2.convertScaleAbs(np.maximum(sky, 0))
    canvas.classes[:rows] = MASK_CLASSES.index("sky")
    canvas.depth_m[:rows] = SKY_DEPTH_M


def _paint_skyline(stage: Stage) -> None:
    """Hills and woods, or far roofs in a town."""
    rng, camera = stage.rng, stage.camera
    for depth, height, colour in ((250.0, 17.0, (98, 112, 104)), (170.0, 9.0, (72, 92, 62))):
        steps = rng.uniform(0.35, 1, 28) * height * camera.pixels_per_metre(depth)
        if stage.street.place == "town":
            steps, name = np.repeat(steps[::2], 2), "background"
            colour = (120, 112, 108)
        else:
            steps, name = np.convolve(steps, np.ones(3) / 3, "same"), "vegetation"
        across = np.linspace(-60, 700, len(steps))
        points = np.stack([across, camera.horizon_px - steps], axis=1)
        floor = [[700.0, camera.horizon_px + 3], [-60.0, camera.horizon_px + 3]]
        tone = shade(colour, rng.uniform(0.8, 1.1))
        stage.canvas.solid(np.concatenate([points, floor]), tone, Thing(name, depth))


def _paint_ground(stage: Stage) -> None:
    canvas, street = stage.canvas, stage.street
    depth = stage.camera.ground_depth_m()
    rows = np.isfinite(depth) & (depth < SKY_DEPTH_M)
    soft = 0.8 + 0.4 * smooth_noise(stage.rng, canvas.classes.shape, (60, 24))
    canvas.colour[rows] = cv2.convertScaleAbs(tinted(soft[rows], street.ground))
    canvas.depth_m[rows] = depth[rows, None]
    canvas.classes[rows] = MASK_CLASSES.index(
        "background" if street.place == "town" else "vegetation"
    )


def _lay(stage: Stage, strip: Array, colour: Colour, name: str) -> None:
    """Paint on the ground; the distance of the ground stays as it is."""
    stage.canvas.detail(strip, colour)
    corners = np.rint(strip).astype(np.int32)
    cv2.fillPoly(stage.canvas.classes, [corners], (MASK_CLASSES.index(name),))


def _paint_road(stage: Stage) -> None:
    street, rng = stage.street, stage.rng
    if street.sidewalk_m:
        stone = shade((158, 152, 146), rng.uniform(0.85, 1.1))
        for inner, outer in _sidewalks(stage):
            _lay(stage, ribbon(stage, inner, outer, 1.8, FAR_M), stone, "sidewalk")
            kerb = inner + np.sign(inner) * 0.18
            stage.canvas.detail(ribbon(stage, inner, kerb, 1.8, FAR_M), shade(stone, 1.18))
    road = ribbon(stage, street.left_m, street.right_m, 1.8, FAR_M)
    _lay(stage, road, street.asphalt, "road")
    _paint_repairs(stage)
    for lane in street.lane_centres_m:  # wheels darken the lanes
        for wheel in (-0.75, 0.75):
            x = lane + wheel
            stage.canvas.darken(ribbon(stage, x - 0.25, x + 0.25, 1.8, 90.0), 0.07)


def _paint_repairs(stage: Stage) -> None:
    street, rng = stage.street, stage.rng
    for _ in range(rng.integers(2, 6)):
        left = rng.uniform(street.left_m, street.right_m - 0.8)
        right = min(left + rng.uniform(0.3, 1.6), street.right_m)
        near = rng.uniform(3, 30)
        tone = shade(street.asphalt, rng.uniform(0.82, 1.1))
        far = near + rng.uniform(1.0, 12.0)
        stage.canvas.detail(ribbon(stage, left, right, near, far), tone)


def _sidewalks(stage: Stage) -> tuple[tuple[float, float], tuple[float, float]]:
    street = stage.street
    return (
        (street.right_m, street.right_m + street.sidewalk_m),
        (street.left_m, street.left_m - street.sidewalk_m),
    )


def _paint_markings(stage: Stage) -> None:
    street, rng, canvas = stage.street, stage.rng, stage.canvas
    paint = blend(_WHITE, street.asphalt, rng.uniform(0.05, 0.45))
    middle = -street.lane_m / 2
    start = rng.uniform(0, 9)
    for near in np.arange(start - 9, 120, 9.0):
        far = near + 4.5
        if far > 2:
            canvas.detail(ribbon(stage, middle - 0.07, middle + 0.07, max(near, 1.8), far), paint)
    for edge in (street.left_m + 0.18, street.lane_m / 2 + 0.02):
        canvas.detail(ribbon(stage, edge - 0.06, edge + 0.06, 1.8, FAR_M), paint)
    if street.place != "country" and rng.random() < 0.45:
        near = rng.uniform(7, 26)
        stop = ribbon(stage, middle + 0.2, street.lane_m / 2, near - 1.6, near - 1.2)
        canvas.detail(stop, paint)
        for left in np.arange(street.left_m + 0.3, street.right_m - 0.5, 1.0):
            canvas.detail(ribbon(stage, left, left + 0.5, near, near + 3.0), paint)
