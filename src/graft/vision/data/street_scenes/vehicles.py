"""Cars, vans and trucks, ahead, oncoming and parked."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour, Thing, ellipse, shade
from graft.vision.data.street_scenes.stage import Item, Stage, Upright
from graft.vision.data.street_scenes.street import Street
from graft.vision.records import Array

PAINTS: tuple[Colour, ...] = (
    (206, 208, 210), (40, 42, 46), (128, 132, 136), (150, 28, 30), (34, 62, 120), (226, 226, 222),
    (76, 96, 84), (176, 132, 60), (58, 70, 86),
)  # fmt: skip
_GLASS: Colour = (44, 54, 64)
_RUBBER: Colour = (24, 24, 26)


class Build(NamedTuple):
    """Measures of a kind of vehicle in metres."""

    width: float
    length: float
    waist: float
    """Height up to which the body is full; the cabin is above."""
    height: float
    taper: float
    """How much narrower the roof is, on each side."""
    cabin: tuple[float, float]
    """Where the cabin begins and ends, as shares of the length from the rear."""


CAR = Build(1.78, 4.2, 0.92, 1.46, 0.22, (0.06, 0.66))
VAN = Build(1.95, 5.0, 1.10, 2.05, 0.12, (0.0, 0.86))
TRUCK = Build(2.45, 8.5, 1.05, 3.4, 0.0, (0.0, 1.0))


@dataclass(frozen=True)
class Vehicle:
    """One vehicle; x is its middle and z its nearest face."""

    build: Build
    x_m: float
    z_m: float
    oncoming: bool
    paint: Colour
    parked: bool = False


def plan_vehicles(street: Street, rng: Generator) -> list[Item]:
    """Vehicles in both lanes and, where there is room, at the edge."""
    vehicles: list[Vehicle] = []
    for lane, oncoming in zip(street.lane_centres_m, (False, True), strict=True):
        z = rng.uniform(7, 30)
        for _ in range(rng.poisson(street.traffic / 2)):
            vehicles.append(_draw_vehicle(rng, lane + rng.normal(0, 0.15), z, oncoming))
            z += rng.uniform(11, 40)
    if street.parking:
        for z in np.arange(rng.uniform(3.5, 9), 70, 6.4):
            if rng.random() < 0.6:
                vehicle = _draw_vehicle(rng, street.right_m - 1.05, float(z), False, parked=True)
                vehicles.append(vehicle)
    return [Item(v.z_m, partial(_paint_vehicle, vehicle=v)) for v in vehicles]


def _draw_vehicle(
    rng: Generator, x: float, z: float, oncoming: bool, *, parked: bool = False
) -> Vehicle:
    chances = [0.8, 0.2, 0.0] if parked else [0.72, 0.14, 0.14]
    build = (CAR, VAN, TRUCK)[rng.choice(3, p=chances)]
    # A truck that fills the frame hides the street.
    z = max(z, 16.0) if build is TRUCK else z
    paint = shade(PAINTS[rng.integers(len(PAINTS))], rng.uniform(0.85, 1.1))
    return Vehicle(build, x, z, oncoming, paint, parked)


def _paint_vehicle(stage: Stage, vehicle: Vehicle) -> None:
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
    body = _box(stage, vehicle.x_m, half, half, 0.28, build.waist, z, z + build.length)
    stage.canvas.solid(body, shade(vehicle.paint, 0.72), thing)
    begin, end = _cabin_span(vehicle)
    cabin = _box(
        stage,
        vehicle.x_m,
        half - 0.04,
        half - build.taper,
        build.waist,
        build.height,
        z + begin,
        z + end,
    )
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
    begin, end = _cabin_span(vehicle)
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
    outer = build.width / 2 - 0.06
    for side in (-1, 1):
        tyre = [
            [side * outer, 0],
            [side * (outer - 0.24), 0],
            [side * (outer - 0.24), 0.4],
            [side * outer, 0.4],
        ]
        stage.canvas.solid(face(tyre), _RUBBER, thing)


def _paint_car_face(stage: Stage, vehicle: Vehicle, face: Upright, thing: Thing) -> None:
    build, canvas = vehicle.build, stage.canvas
    half, waist = build.width / 2, build.waist
    begin, _ = _cabin_span(vehicle)
    body = [
        [-half + 0.08, 0.24],
        [half - 0.08, 0.24],
        [half, 0.45],
        [half, waist - 0.2],
        [half - 0.12, waist],
        [-half + 0.12, waist],
        [-half, waist - 0.2],
        [-half, 0.45],
    ]
    canvas.solid(face(body), vehicle.paint, thing)
    canvas.detail(face(_rectangle(0, 0.34, half - 0.1, 0.1)), shade(vehicle.paint, 0.55))
    canvas.detail(face(_rectangle(0, 0.46, 0.26, 0.055)), (228, 226, 206))
    if vehicle.oncoming:
        canvas.detail(face(_rectangle(0, 0.66, 0.42, 0.07)), (38, 40, 42))
    cabin = Upright(stage.camera, vehicle.x_m, vehicle.z_m + begin)
    roof, low, top = half - build.taper, waist - 0.02, build.height
    canvas.solid(
        cabin([[-half + 0.06, low], [half - 0.06, low], [roof, top], [-roof, top]]),
        shade(vehicle.paint, 0.92),
        thing,
    )
    pane = cabin(
        [
            [-half + 0.2, low + 0.06],
            [half - 0.2, low + 0.06],
            [roof - 0.08, top - 0.1],
            [-roof + 0.08, top - 0.1],
        ]
    )
    canvas.detail(pane, shade(_GLASS, stage.rng.uniform(0.8, 1.6)))
    # The sky lies on the upper half of a window.
    canvas.detail(
        np.array([(pane[0] + 2 * pane[3]) / 3, (pane[1] + 2 * pane[2]) / 3, pane[2], pane[3]]),
        shade(_GLASS, 1.9),
    )


def _paint_truck_face(stage: Stage, vehicle: Vehicle, face: Upright, thing: Thing) -> None:
    build, canvas = vehicle.build, stage.canvas
    half = build.width / 2
    canvas.solid(
        face(_rectangle(0, (0.5 + build.height) / 2, half, (build.height - 0.5) / 2)),
        vehicle.paint,
        thing,
    )
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


def _cabin_span(vehicle: Vehicle) -> tuple[float, float]:
    """Where the cabin begins and ends, in metres behind the nearest face."""
    begin, end = vehicle.build.cabin
    if vehicle.oncoming:
        begin, end = 1 - end, 1 - begin
    return begin * vehicle.build.length, end * vehicle.build.length


def _box(
    stage: Stage, x: float, half_low: float, half_top: float, low: float, top: float,
    near: float, far: float,
) -> Array:  # fmt: skip
    corners = [
        [x + side * half, y, z]
        for z in (near, far)
        for half, y in ((half_low, low), (half_top, top))
        for side in (-1, 1)
    ]
    hull = cv2.convexHull(stage.camera.project(corners).astype(np.float32))
    return hull[:, 0].astype(np.float64)


def _rectangle(x: float, y: float, half_width: float, half_height: float) -> list[list[float]]:
    return [
        [x - half_width, y - half_height],
        [x + half_width, y - half_height],
        [x + half_width, y + half_height],
        [x - half_width, y + half_height],
    ]
