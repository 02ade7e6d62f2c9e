"""Fields over the frame: smooth and fine noise, and how a field becomes colour."""

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.records import Array

_TILE = 768, 1024


def smooth_noise(rng: Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """Noise of this shape in 0..1, as smooth as a grid of that many cells (rows, columns)."""
    grid = rng.random(cells, np.float32)
    field = cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1)


def fine_noise(rng: Generator, shape: tuple[int, int], channels: int) -> Array:
    """Independent normal noise (H, W, C); a random window of one large tile."""
    tile = _tile(channels)
    top = rng.integers(0, _TILE[0] - shape[0] + 1)
    left = rng.integers(0, _TILE[1] - shape[1] + 1)
    window = tile[top : top + shape[0], left : left + shape[1]]
    return window[:, ::-1] if rng.random() < 0.5 else window


def tinted(field: Array, tint: Iterable[float]) -> Array:
    """The field (H, W) float32 in three channels (H, W, 3), each with its factor."""
    # Five times as fast as broadcasting over a last axis of three.
    return np.asarray(cv2.merge([field * np.float32(factor) for factor in tint]))


@cache
def _tile(channels: int) -> Array:
    # One tile for all scenes: drawing a million normals for each would take a third of the time.
    tile = np.random.default_rng(1).standard_normal((*_TILE, channels), np.float32)
    tile.flags.writeable = False
    return tile
