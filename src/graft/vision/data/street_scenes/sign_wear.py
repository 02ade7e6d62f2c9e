"""What years in the street do to a sign."""

import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.noise import smooth_noise
from graft.vision.data.street_scenes.sign_faces import FACE_SIDE_PX
from graft.vision.records import Array

_BLEACHED = np.array([206, 200, 190], np.float32)
_MUD = np.array([92, 78, 60], np.float32)
_SHAPE = (FACE_SIDE_PX, FACE_SIDE_PX)


def wear_down(face: Array, rng: Generator, level: float) -> Array:
    """A used face (S, S, 4) float32 in 0..255, premultiplied, from a clean one.

    Args:
        face: (S, S, 4) uint8 with premultiplied cover.
        rng: what happened to this one sign.
        level: 0 for as new, 1 for old and neglected.
    """
    cover = face[..., 3:].astype(np.float32) / 255
    colour = face[..., :3].astype(np.float32)
    colour = _fade(colour, cover, rng, level)
    colour = _soil(colour, cover, rng, level)
    if rng.random() < 0.3 * level:
        colour = _stick(colour, cover, rng)
    colour = _light(colour, rng)
    return np.concatenate([np.clip(colour, 0, 255), cover * 255], axis=2)


def _fade(colour: Array, cover: Array, rng: Generator, level: float) -> Array:
    """The sun takes the colours first, then the contrast."""
    bleached = 0.35 * colour.mean(axis=2, keepdims=True) + 0.65 * _BLEACHED * cover
    return colour + (bleached - colour) * np.float32(level * rng.uniform(0, 0.7))


def _soil(colour: Array, cover: Array, rng: Generator, level: float) -> Array:
    """Blotches, and splashes that thin out upwards."""
    blotches = np.clip(smooth_noise(rng, _SHAPE, (5, 5)) * 2 - 0.8, 0, 1)
    specks = smooth_noise(rng, _SHAPE, (20, 20))
    height = np.linspace(0, 1, _SHAPE[0], dtype=np.float32)[:, None] ** 2
    share = level * (rng.uniform(0, 1.0) * blotches * (0.4 + specks) + rng.uniform(0, 0.7) * height)
    return colour + (_MUD * cover - colour) * np.clip(share, 0, 0.9)[..., None]


def _stick(colour: Array, cover: Array, rng: Generator) -> Array:
    """A sticker or a scribble somewhere on the face."""
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]] / _SHAPE[0]
    middle, turn = rng.uniform(0.25, 0.75, 2), rng.uniform(0, np.pi)
    along = (x - middle[0]) * np.cos(turn) + (y - middle[1]) * np.sin(turn)
    across = (y - middle[1]) * np.cos(turn) - (x - middle[0]) * np.sin(turn)
    inside = (abs(along) < rng.uniform(0.08, 0.2)) & (abs(across) < rng.uniform(0.05, 0.12))
    return np.where(inside[..., None], rng.uniform(20, 235, 3).astype(np.float32) * cover, colour)


def _light(colour: Array, rng: Generator) -> Array:
    """Backlight, the shadow of something near, or glare."""
    colour = colour * np.float32(rng.uniform(0.65, 1.1))
    roll = rng.random()
    if roll < 0.25:
        y, x = np.mgrid[-1 : 1 : _SHAPE[0] * 1j, -1 : 1 : _SHAPE[1] * 1j]
        turn = rng.uniform(0, 2 * np.pi)
        edge = np.cos(turn) * x + np.sin(turn) * y > rng.uniform(-0.5, 0.5)
        colour = colour * np.where(edge, np.float32(rng.uniform(0.35, 0.7)), 1)[..., None]
    return colour.astype(np.float32)
