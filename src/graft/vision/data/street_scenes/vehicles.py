"""Which vehicles a scene shows: ahead, oncoming and parked."""

from functools import partial

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour, shade
from graft.vision.data.street_scenes.stage import Item
from graft.vision.data.street_scenes.street import Street
from graft.vision.data.street_scenes.vehicle import CAR, TRUCK, VAN, Vehicle
from graft.vision.data.street_scenes.vehicle_body import paint_vehicle

PAINTS: tuple[Colour, ...] = (
    (206, 208, 210), (40, 42, 46), (128, 132, 136), (150, 28, 30), (34, 62, 120), (226, 226, 222),
    (76, 96, 84), (176, 132, 60), (58, 70, 86),
)  # fmt: skip


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
    return [Item(v.z_m, partial(paint_vehicle, vehicle=v)) for v in vehicles]


def _draw_vehicle(
    rng: Generator, x: float, z: float, oncoming: bool, *, parked: bool = False
) -> Vehicle:
    chances = [0.8, 0.2, 0.0] if parked else [0.72, 0.14, 0.14]
    build = (CAR, VAN, TRUCK)[rng.choice(3, p=chances)]
    # A truck that fills the frame hides the street.
    z = max(z, 16.0) if build is TRUCK else z
    paint = shade(PAINTS[rng.integers(len(PAINTS))], rng.uniform(0.85, 1.1))
    return Vehicle(build, x, z, oncoming, paint, parked)
