"""Which drives there are, and which signs each scene shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.conditions import (
    DRIFTED,
    LIGHTS,
    Conditions,
    draw_conditions,
)
from graft.vision.data.street_scenes.options import StreetScenesOptions
from graft.vision.data.street_scenes.sign_faces import SIGN_CLASSES
from graft.vision.data.street_scenes.street import Street, draw_street

# How often a class stands in the streets, relative to the others: mildly uneven, as in life.
_FREQUENCIES = {
    "speed_limit_50": 1.6,
    "yield": 1.5,
    "priority_road": 1.4,
    "speed_limit_30": 1.4,
    "pedestrian_crossing": 1.2,
    "danger_curve": 0.8,
    "speed_limit_80": 0.8,
    "no_overtaking": 0.7,
}


@dataclass(frozen=True)
class Drive:
    """One street, one light, one camera."""

    number: int
    conditions: Conditions
    street: Street


@dataclass(frozen=True)
class SceneOrder:
    """One frame to render."""

    drive: Drive
    number: int
    sign_classes: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """For example ``d03_s0012``."""
        return f"d{self.drive.number:02d}_s{self.number:04d}"

    def rng(self) -> Generator:
        """The scene's own random numbers, whatever is rendered before it."""
        return np.random.default_rng([self.seed, self.drive.number, self.number])


def plan_parts(options: StreetScenesOptions, first: int = 1) -> dict[str, list[SceneOrder]]:
    """The scenes of each part: train and test, or batch when drifted; no drive is in two.

    Args:
        first: number of the first drive; that of a drifted batch comes after train and test.
    """
    given = options.train_drives, options.test_drives
    if options.drifted:
        counts, first = {"batch": options.batch_drives}, sum(given) + first
    else:
        counts = dict(zip(("train", "test"), given, strict=True))
    parts = {}
    for part, count in counts.items():
        drives = [
            _draw_drive(options, number, kind)
            for number, kind in enumerate(_kinds(count, options), start=first)
        ]
        parts[part] = _order_scenes(drives, options)
        first += count
    return parts


def deal_classes(count: int, rng: Generator) -> list[str]:
    """So many sign classes in random order, each as often as its frequency says."""
    share = np.array([_FREQUENCIES.get(name, 1.0) for name in SIGN_CLASSES])
    wanted = share / share.sum() * count
    counts = np.floor(wanted).astype(int)
    rest = np.argsort(counts - wanted, kind="stable")[: count - counts.sum()]
    counts[rest] += 1
    return [str(name) for name in rng.permutation(np.repeat(SIGN_CLASSES, counts))]


def _kinds(count: int, options: StreetScenesOptions) -> Sequence[str]:
    kinds = DRIFTED if options.drifted else LIGHTS[options.light]
    return [kinds[i % len(kinds)] for i in range(count)]


def _draw_drive(options: StreetScenesOptions, number: int, kind: str) -> Drive:
    rng = np.random.default_rng([options.seed, number])
    conditions = draw_conditions(rng, kind, drifted=options.drifted)
    return Drive(number, conditions, draw_street(rng))


def _order_scenes(drives: list[Drive], options: StreetScenesOptions) -> list[SceneOrder]:
    """Deal the signs over the scenes of one part, so that each part shows all classes."""
    rng = np.random.default_rng([options.seed, drives[0].number, 0, 1])
    low, high = options.signs_per_scene_min, options.signs_per_scene_max
    sizes = rng.integers(low, high + 1, len(drives) * options.scenes_per_drive)
    deck = iter(deal_classes(int(sizes.sum()), rng))
    # Frames are not numbered from one without a gap: a drive is longer than what was kept of it.
    numbers = [1 + 7 * k for k in range(options.scenes_per_drive)]
    places = [(drive, number) for drive in drives for number in numbers]
    return [
        SceneOrder(drive, number, tuple(islice(deck, int(size))), options.seed)
        for (drive, number), size in zip(places, sizes, strict=True)
    ]
