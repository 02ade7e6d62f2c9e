"""What a person sees at once in a picture, as numbers."""

from collections.abc import Iterable

import cv2
import numpy as np
import pandas as pd

from graft.vision.records import Array

SIDE_PX = 128
"""Sharpness and noise are measured at one scale, so that they do not follow the size."""
NAMES = ("brightness", "contrast", "sharpness", "saturation", "warmth", "noise")
# Immerkaer (1996): this filter is blind to flat parts and to straight edges.
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def image_statistics(images: Iterable[Array]) -> pd.DataFrame:
    """One row of NAMES per image: upright (H, W, C) uint8 pixels, of any size.

    brightness: mean of luma, 0..1. contrast: its deviation. sharpness: logarithm of the strength
    of fine edges, in units of the contrast. saturation: mean of HSV's, 0..1. warmth: mean of red
    less blue, -1..1. noise: deviation by Immerkaer's method, 0..1; fine texture counts to it.
    """
    rows = [_statistics(pixels) for pixels in images]
    return pd.DataFrame(rows, columns=list(NAMES))


def _statistics(pixels: Array) -> tuple[float, ...]:
    scale = SIDE_PX / min(pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    colours = cv2.resize(_colours(pixels), None, fx=scale, fy=scale, interpolation=how)
    unit = colours.astype(np.float32) / 255
    luma = cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY)
    most, least = unit.max(axis=2), unit.min(axis=2)
    edges = cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.CV_32F)
    noise = np.abs(cv2.filter2D(luma, cv2.CV_32F, _NOISE)).mean() * np.sqrt(np.pi / 2) / 6
    return (
        float(luma.mean()),
        float(luma.std()),
        float(np.log((edges.std() + 1e-4) / (luma.std() + 1e-2))),
        float(((most - least) / np.maximum(most, 1e-3)).mean()),
        float((unit[..., 0] - unit[..., 2]).mean()),
        float(noise),
    )


def _colours(pixels: Array) -> Array:
    three = pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(three)
