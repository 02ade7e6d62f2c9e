"""Named shifts of pixels, in known strengths: what power is stated for."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from graft.vision.records import Array


def darken(pixels: Array, strength: float) -> Array:
    """Take away a share of the light; 1 is black."""
    return _bytes(pixels.astype(np.float32) * (1 - strength))


def flatten(pixels: Array, strength: float) -> Array:
    """Take away a share of the contrast around the image's mean."""
    mean = pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float32)
    return _bytes(mean + (pixels - mean) * (1 - strength))


def blur(pixels: Array, strength: float) -> Array:
    """Gaussian blur; the strength is its deviation in shares of the shorter side."""
    deviation = max(strength * min(pixels.shape[:2]), 1e-3)
    blurred = cv2.GaussianBlur(pixels, (0, 0), deviation)
    return blurred.reshape(pixels.shape)


def warm(pixels: Array, strength: float) -> Array:
    """More red and less blue by a share of each; no change to one channel."""
    gain = np.ones(pixels.shape[2], np.float32)
    if len(gain) >= 3:
        gain[0], gain[2] = 1 + strength, 1 - strength
    return _bytes(pixels * gain)


def add_noise(pixels: Array, strength: float) -> Array:
    """Gaussian noise; the strength is its deviation in shares of the full range."""
    # Seeded by what is shown: the same image is given the same noise wherever it is asked for.
    rng = np.random.default_rng(int(pixels.sum(dtype=np.int64)))
    return _bytes(pixels + rng.normal(0, 255 * strength, pixels.shape))


SHIFTS: Mapping[str, Callable[[Array, float], Array]] = {
    "darker": darken,
    "flatter": flatten,
    "blurred": blur,
    "warmer": warm,
    "noisier": add_noise,
}
"""By name: (pixels (H, W, C) uint8, strength) -> pixels of that shape."""
STRENGTHS: Mapping[str, tuple[float, ...]] = {
    "darker": (0.1, 0.2, 0.4, 0.7),
    "flatter": (0.1, 0.2, 0.4, 0.7),
    "blurred": (0.004, 0.008, 0.016, 0.032),
    "warmer": (0.05, 0.1, 0.2, 0.4),
    "noisier": (0.02, 0.04, 0.08, 0.16),
}
"""Weakest first."""


def _bytes(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
