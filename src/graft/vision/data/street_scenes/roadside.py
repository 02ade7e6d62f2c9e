"""Buildings, trees and street lamps beside the road."""

from functools import partial

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour, Thing, blend, ellipse, shade
from graft.vision.data.street_scenes.stage import Item, Stage, Upright
from graft.vision.data.street_scenes.street import Street
from graft.vision.records import Array

FACADES: tuple[Colour, ...] = (
    (196, 178, 150), (168, 104, 84), (206, 200, 188), (150, 146, 142), (188, 150, 110),
    (142, 92, 78), (178, 186, 190), (214, 190, 156),
)  # fmt: skip
_GLASS: Colour = (62, 74, 88)
_TILES: Colour = (112, 66, 54)
_LIT: Colour = (255, 206, 120)
_BAY_M, _STOREY_M = 3.2, 3.1
_WINDOWS_SEEN_M = 75.0
"""Farther away a window is narrower than a pixel."""


def plan_roadside(street: Street, rng: Generator) -> list[Item]:
    """Everything that stands beside the street, out to the far end."""
    items: list[Item] = []
    for side, edge in ((1, street.right_m), (-1, street.left_m)):
        wall = edge + side * (street.sidewalk_m + (0.3 if street.place == "town" else 6.0))
        if street.place != "country":
            items += _plan_buildings(street, rng, wall, side)
        # In a town trees stand on the sidewalk: behind it there are walls.
        row = 0.5 if street.place == "town" else street.sidewalk_m + 0.4
        items += _plan_trees(street, rng, edge + side * row, side)
        items += _plan_lamps(street, rng, edge + side * 0.5, side)
    return items


def _plan_buildings(street: Street, rng: Generator, wall_m: float, side: int) -> list[Item]:
    items: list[Item] = []
    near = rng.uniform(1.5, 12.0)
    while near < 130:
        bays = int(rng.integers(2, 6))
        storeys = int(rng.integers(2, 6) if street.place == "town" else rng.integers(1, 3))
        colour = shade(FACADES[rng.integers(len(FACADES))], rng.uniform(0.75, 1.1))
        paint = partial(
            _paint_building,
            wall=wall_m,
            near=near,
            bays=bays,
            storeys=storeys,
            side=side,
            colour=colour,
        )
        items.append(Item(near + bays * _BAY_M / 2, paint))
        gap = rng.uniform(0, 1.5) if street.place == "town" else rng.uniform(4, 16)
        near += bays * _BAY_M + gap
    return items


def _paint_building(
    stage: Stage, wall: float, near: float, bays: int, storeys: int, side: int, colour: Colour
) -> None:
    """The front along the street, bay by bay, then the gable that looks at the camera."""
    height = storeys * _STOREY_M + 0.8
    for bay in reversed(range(bays)):
        z = near + bay * _BAY_M
        front = _wall(stage, wall, z, z + _BAY_M, 0, height)
        stage.canvas.solid(front, colour, Thing("background", z + _BAY_M / 2))
        if z < _WINDOWS_SEEN_M:
            _paint_windows(stage, wall, z, storeys, colour)
    ridge = height + (2.8 if stage.street.place == "suburb" else 0.0)
    if ridge > height:
        far, over = near + bays * _BAY_M, wall + side * 5.5
        eaves = [[wall, height, near], [wall, height, far], [over, ridge, far], [over, ridge, near]]
        tiles = shade(_TILES, stage.rng.uniform(0.7, 1.2))
        stage.canvas.solid(stage.camera.project(eaves), tiles, Thing("background", near + 2))
    if near > 2:
        plane = Upright(stage.camera, wall, near)
        outline = [[0, 0], [side * 11, 0], [side * 11, height], [side * 5.5, ridge], [0, height]]
        stage.canvas.solid(plane(outline), shade(colour, 0.72), Thing("background", near))


def _paint_windows(stage: Stage, wall: float, z: float, storeys: int, colour: Colour) -> None:
    rng, lamps = stage.rng, stage.conditions.lamps
    for storey in range(storeys):
        low = storey * _STOREY_M + (0.1 if storey == 0 and rng.random() < 0.4 else 1.0)
        top = (storey + 1) * _STOREY_M - 0.4
        frame = _wall(stage, wall, z + 0.75, z + 2.45, low - 0.1, top + 0.1)
        stage.canvas.detail(frame, shade(colour, 1.16))
        pane = _wall(stage, wall, z + 0.9, z + 2.3, low, top)
        stage.canvas.detail(pane, shade(_GLASS, rng.uniform(0.6, 1.7)))
        if rng.random() < 0.4 * lamps:
            stage.canvas.shine(pane, shade(_LIT, rng.uniform(0.15, 0.5) * lamps))


def _wall(stage: Stage, x: float, near: float, far: float, low: float, top: float) -> Array:
    return stage.camera.project([[x, low, near], [x, top, near], [x, top, far], [x, low, far]])


def _plan_trees(street: Street, rng: Generator, row_m: float, side: int) -> list[Item]:
    spacing = {"town": 36.0, "suburb": 15.0, "country": 11.0}[street.place]
    items = []
    for z in np.arange(rng.uniform(5, 5 + spacing), 150, spacing):
        depth = float(z + rng.uniform(-3, 3))
        apart = 0.3 if street.place == "town" else rng.uniform(1.0, 9.0)
        paint = partial(_paint_tree, x=row_m + side * apart, z=depth, size=rng.uniform(0.75, 1.35))
        items.append(Item(depth, paint))
    return items


def _paint_tree(stage: Stage, x: float, z: float, size: float) -> None:
    rng, thing = stage.rng, Thing("vegetation", z)
    plane = Upright(stage.camera, x, z, size)
    trunk = plane([[-0.14, 0], [0.14, 0], [0.09, 3.0], [-0.09, 3.0]])
    stage.canvas.solid(trunk, (84, 68, 52), thing)
    green = blend((58, 92, 42), (122, 128, 48), rng.random())
    unit = stage.camera.pixels_per_metre(z) * size
    tufts = 6 if z < 50 else 3
    for tone in (0.66, 0.82, 0.96, 1.1):  # dark inside and below, light above
        middle = 0, 3.5 + (tone - 0.9) * 2.4
        for centre in plane(rng.normal(middle, (0.75, 0.5), (tufts, 2))):
            radius = unit * rng.uniform(0.85, 1.0) * (1.15 - 0.6 * tone)
            crown = ellipse((centre[0], centre[1]), (radius, radius * 0.85), 14)
            crown += rng.normal(0, 0.07 * radius, crown.shape)
            stage.canvas.solid(crown, shade(green, tone * rng.uniform(0.92, 1.08)), thing)


def _plan_lamps(street: Street, rng: Generator, x: float, side: int) -> list[Item]:
    if street.place == "country":
        return []
    starts = np.arange(rng.uniform(6, 30), 140, 28.0)
    return [Item(float(z), partial(_paint_lamp, x=x, z=float(z), side=side)) for z in starts]


def _paint_lamp(stage: Stage, x: float, z: float, side: int) -> None:
    plane, thing = Upright(stage.camera, x, z), Thing("background", z)
    post = plane([[-0.07, 0], [0.07, 0], [0.05, 6.4], [-0.05, 6.4]])
    stage.canvas.solid(post, (92, 96, 98), thing)
    arm = plane([[0, 6.3], [-side * 1.5, 6.7], [-side * 1.5, 6.8], [0, 6.45]])
    stage.canvas.solid(arm, (92, 96, 98), thing)
    head = plane(
        [[-side * 1.2, 6.62], [-side * 2.0, 6.66], [-side * 2.0, 6.82], [-side * 1.2, 6.82]]
    )
    stage.canvas.solid(head, (120, 124, 126), thing)
    if stage.conditions.lamps > 0.5:
        stage.canvas.shine(head, shade((255, 214, 150), stage.conditions.lamps))
