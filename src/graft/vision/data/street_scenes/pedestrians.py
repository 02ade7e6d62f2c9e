"""People on the sidewalk and on the road."""

from functools import partial

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour, ellipse, shade
from graft.vision.data.street_scenes.stage import Item, Stage, Upright
from graft.vision.data.street_scenes.street import Street

CLOTHES: tuple[Colour, ...] = (
    (44, 48, 66), (150, 40, 44), (206, 200, 186), (60, 92, 70), (196, 148, 52), (92, 96, 104),
    (40, 76, 140), (24, 24, 28), (120, 76, 110),
)  # fmt: skip
SKIN: tuple[Colour, ...] = ((240, 204, 176), (214, 166, 130), (164, 112, 80), (96, 64, 46))
HAIR: tuple[Colour, ...] = ((34, 26, 22), (92, 62, 38), (180, 148, 96), (150, 150, 152))


def plan_pedestrians(street: Street, rng: Generator) -> list[Item]:
    """Walkers, most of them on the sidewalks, some crossing."""
    items = []
    for _ in range(rng.poisson(street.walkers)):
        z = float(rng.uniform(6, 45))
        roll = rng.random()
        margin = max(street.sidewalk_m, 1.2)
        if roll < 0.5:
            x = street.right_m + rng.uniform(0.5, margin)
        elif roll < 0.85:
            x = street.left_m - rng.uniform(0.5, margin)
        else:
            x = rng.uniform(street.left_m, street.right_m)
            z = max(z, 11.0)
        items.append(Item(z, partial(_paint_pedestrian, x=x, z=z, height=rng.normal(1.7, 0.12))))
    return items


def _paint_pedestrian(stage: Stage, x: float, z: float, height: float) -> None:
    """Figures are drawn 1.75 m tall and scaled; the stride moves legs and arms."""
    rng, canvas = stage.rng, stage.canvas
    thing = canvas.thing("pedestrian", z)
    plane = Upright(stage.camera, x, z, height / 1.75)
    coat, trousers = (CLOTHES[i] for i in rng.integers(len(CLOTHES), size=2))
    skin, hair = SKIN[rng.integers(len(SKIN))], HAIR[rng.integers(len(HAIR))]
    stride = rng.uniform(0.05, 0.3) * rng.choice([-1, 1])
    canvas.darken(plane([[-0.4, -0.05], [0.45, -0.05], [0.45, 0.06], [-0.4, 0.06]]), 0.4)
    for side, swing, tone in ((0.07, stride, 0.75), (-0.07, -stride, 1.0)):
        leg = _limb((side, 0.88), (side + swing, 0.06), 0.10, 0.065)
        canvas.solid(plane(leg), shade(trousers, tone), thing)
        shoe = _limb((side + swing - 0.03, 0.03), (side + swing + 0.13, 0.03), 0.04, 0.03)
        canvas.solid(plane(shoe), (36, 32, 30), thing)
    far_arm = _limb((0.15, 1.38), (0.15 - stride, 0.86), 0.055, 0.045)
    canvas.solid(plane(far_arm), shade(coat, 0.72), thing)
    torso = [[-0.2, 1.42], [0.2, 1.42], [0.23, 1.2], [0.2, 0.8], [-0.2, 0.8], [-0.23, 1.2]]
    canvas.solid(plane(torso), coat, thing)
    near_arm = _limb((-0.17, 1.38), (-0.17 + stride, 0.86), 0.06, 0.045)
    canvas.solid(plane(near_arm), shade(coat, 0.88), thing)
    canvas.solid(plane(_limb((0, 1.42), (0, 1.52), 0.05, 0.05)), skin, thing)
    canvas.solid(plane(ellipse((0.0, 1.62), (0.1, 0.13))), skin, thing)
    crown = ellipse((0.0, 1.66), (0.105, 0.105))
    canvas.solid(plane(crown[crown[:, 1] > 1.63]), hair, thing)
    if stage.conditions.rain and rng.random() < 0.6:
        dome = ellipse((0.0, 1.72), (0.52, 0.32), 24)
        colour = CLOTHES[rng.integers(len(CLOTHES))]
        canvas.solid(plane(dome[dome[:, 1] >= 1.72]), colour, thing)


def _limb(
    start: tuple[float, float], end: tuple[float, float], start_half: float, end_half: float
) -> np.ndarray:
    """The corners (4, 2) of a bar that may taper."""
    one, other = np.array(start), np.array(end)
    along = (other - one) / max(np.hypot(*(other - one)), 1e-6)
    across = np.array([-along[1], along[0]])
    return np.stack(
        [
            one + across * start_half,
            other + across * end_half,
            other - across * end_half,
            one - across * start_half,
        ]
    )
