"""How a vehicle is painted: shadow, hull, flank, and the face that looks at the camera."""

import cv2
import numpy as np

from graft.vision.data.street_scenes.canvas import Colour, Thing, ellipse, quad, shade
from graft.vision.data.street_scenes.stage import Stage, Upright
from graft.vision.data.street_scenes.vehicle import TRUCK, Build, Vehicle
from graft.vision.records import Array

_GLASS: Colour = (44, 54, 64)
_RUBBER: Colour = (24, 24, 26)


def paint_vehicle(stage: Stage, vehicle: Vehicle) -> None:
    """Paint one vehicle with an instance of its own."""
    build, z = vehicle.build, vehicle.z_m
    thing = stage.canvas.thing("vehicle", z)
    _paint_shadow(stage, vehicle)
    _paint_hull(stage, vehicle, thing)
    _paint_flank(stage, vehicle)
    face = Upright(stage.camera, vehicle.x_m, z)
    _paint_tyres(stage, face, build, thing)
    if build is TRUCK:
        _paint_truck_face(stage, vehicle, face, thing)
    else:
        _paint_car_face(stage, vehicle, face, thing)
    _paint_lights(stage, vehicle, face)


def _paint_shadow(stage: Stage, vehicle: Vehicle) -> None:
    half = vehicle.build.width / 2 + 0.15
    near, far = vehicle.z_m - 0.25, vehicle.z_m + vehicle.build.length
    left, right = vehicle.x_m - half, vehicle.x_m + half
    ground = [[left, 0, near], [right, 0, near], [right, 0, far], [left, 0, far]]
    stage.canvas.darken(stage.camera.project(ground), 0.6)


def _paint_hull(stage: Stage, vehicle: Vehicle, thing: Thing) -> None:
    """The outline of body and cabin as boxes seen in perspective."""
    build, z = vehicle.build, vehicle.z_m
    half = build.width / 2
    body = _box(stage, vehicle.x_m, (half, 0.28), (half, build.waist), (z, z + build.length))
    stage.canvas.solid(body, shade(vehicle.paint, 0.72), thing)
    begin, end = vehicle.cabin_span_m
    sill, roof = (half - 0.04, build.waist), (half - build.taper, build.height)
    cabin = _box(stage, vehicle.x_m, sill, roof, (z + begin, z + end))
    stage.canvas.solid(cabin, shade(vehicle.paint, 0.78), thing)


def _paint_flank(stage: Stage, vehicle: Vehicle) -> None:
    """Side windows and wheels on the side that faces the middle of the frame."""
    build, z = vehicle.build, vehicle.z_m
    side = -1 if vehicle.x_m > 0 else 1
    x = vehicle.x_m + side * build.width / 2
    unit = stage.camera.pixels_per_metre
    for share in (0.2, 0.8):
        at = z + share * build.length
        centre = stage.camera.project([[x, 0.32, at]])[0]
        radius = 0.33 * unit(at)
        slant = abs(x) / max(at, 1.0)
        wheel = ellipse((centre[0], centre[1]), (max(0.6, radius * slant), radius), 14)
        stage.canvas.detail(wheel, _RUBBER)
    if build is TRUCK:
        return
    begin, end = vehicle.cabin_span_m
    inner = vehicle.x_m + side * (build.width / 2 - build.taper)
    low, top = build.waist + 0.05, build.height - 0.1
    window = [
        [x, low, z + begin + 0.35],
        [inner, top, z + begin + 0.55],
        [inner, top, z + end - 0.7],
        [x, low, z + end - 0.3],
    ]
    stage.canvas.detail(stage.camera.project(window), _GLASS)


def _paint_tyres(stage: Stage, face: Upright, build: Build, thing: Thing) -> None:
    for side in (-1, 1):
        tyre = _rectangle(side * (build.width / 2 - 0.18), 0.2, 0.12, 0.2)
        stage.canvas.solid(face(tyre), _RUBBER, thing)


def _paint_car_face(stage: Stage, vehicle: Vehicle, face: Upright, thing: Thing) -> None:
    build, canvas = vehicle.build, stage.canvas
    half, waist = build.width / 2, build.waist
    right = [(half - 0.08, 0.24), (half, 0.45), (half, waist - 0.2), (half - 0.12, waist)]
    body = right + [(-x, y) for x, y in reversed(right)]
    canvas.solid(face(body), vehicle.paint, thing)
    canvas.detail(face(_rectangle(0, 0.34, half - 0.1, 0.1)), shade(vehicle.paint, 0.55))
    canvas.detail(face(_rectangle(0, 0.46, 0.26, 0.055)), (228, 226, 206))
    if vehicle.oncoming:
        canvas.detail(face(_rectangle(0, 0.66, 0.42, 0.07)), (38, 40, 42))
    _paint_cabin_face(stage, vehicle, thing)


def _paint_cabin_face(stage: Stage, vehicle: Vehicle, thing: Thing) -> None:
    """The rear window or the windscreen, set back from the nearest face."""
    build, canvas = vehicle.build, stage.canvas
    begin, _ = vehicle.cabin_span_m
    cabin = Upright(stage.camera, vehicle.x_m, vehicle.z_m + begin)
    sill, roof, low, top = build.width / 2, build.width / 2 - build.taper, build.waist, build.height
    frame = cabin(_trapezoid((sill - 0.06, low - 0.02), (roof, top)))
    canvas.solid(frame, shade(vehicle.paint, 0.92), thing)
    pane = cabin(_trapezoid((sill - 0.2, low + 0.04), (roof - 0.08, top - 0.1)))
    canvas.detail(pane, shade(_GLASS, stage.rng.uniform(0.8, 1.6)))
    # The sky lies on the upper third of a window.
    mirror = [(pane[0] + 2 * pane[3]) / 3, (pane[1] + 2 * pane[2]) / 3, pane[2], pane[3]]
    canvas.detail(np.array(mirror), shade(_GLASS, 1.9))


def _paint_truck_face(stage: Stage, vehicle: Vehicle, face: Upright, thing: Thing) -> None:
    build, canvas = vehicle.build, stage.canvas
    half = build.width / 2
    canvas.solid(face(_trapezoid((half, 0.5), (half, build.height))), vehicle.paint, thing)
    if vehicle.oncoming:
        canvas.detail(face(_rectangle(0, 2.1, half - 0.12, 0.5)), shade(_GLASS, 1.2))
        canvas.detail(face(_rectangle(0, 1.1, half - 0.35, 0.25)), shade(vehicle.paint, 0.5))
    else:
        canvas.detail(face(_rectangle(0, 1.9, 0.02, 1.3)), shade(vehicle.paint, 0.5))
        for x in (-0.7, 0.7):
            canvas.detail(face(_rectangle(x, 1.9, 0.02, 1.3)), shade(vehicle.paint, 0.75))
    canvas.detail(face(_rectangle(0, 0.52, half, 0.1)), (48, 48, 50))


def _paint_lights(stage: Stage, vehicle: Vehicle, face: Upright) -> None:
    build, lamps = vehicle.build, stage.conditions.lamps * (0.0 if vehicle.parked else 1.0)
    low = 0.68 if build is not TRUCK else 0.62
    braking = stage.rng.random() < 0.3 and not vehicle.parked
    colour: Colour = (250, 244, 224) if vehicle.oncoming else (186, 22, 22)
    for side in (-1, 1):
        light = face(_rectangle(side * (build.width / 2 - 0.2), low, 0.16, 0.09))
        stage.canvas.detail(light, colour)
        if vehicle.oncoming and lamps:
            stage.canvas.shine(light, shade((255, 246, 226), lamps))
        elif lamps or braking:
            stage.canvas.shine(light, shade((255, 40, 30), 0.9 if braking else 0.5 * lamps))


def _box(
    stage: Stage,
    x: float,
    bottom: tuple[float, float],
    top: tuple[float, float],
    span: tuple[float, float],
) -> Array:
    """The outline (N, 2) of a box; bottom and top are (half width, height), span is its depth."""
    corners = [
        [x + side * half, y, z] for z in span for half, y in (bottom, top) for side in (-1, 1)
    ]
    hull = cv2.convexHull(stage.camera.project(corners).astype(np.float32))
    return hull[:, 0].astype(np.float64)


def _rectangle(x: float, y: float, half_width: float, half_height: float) -> Array:
    return quad(x - half_width, y - half_height, x + half_width, y + half_height)


def _trapezoid(bottom: tuple[float, float], top: tuple[float, float]) -> Array:
    """Corners (4, 2) from the lower left; bottom and top are (half width, height)."""
    (low_half, low), (top_half, high) = bottom, top
    return np.array([[-low_half, low], [low_half, low], [top_half, high], [-top_half, high]])
