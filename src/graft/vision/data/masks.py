"""Masks of class numbers: how they travel as text, and how files become them."""

import base64

import cv2
import numpy as np

from graft.vision.records import Array

IGNORED = 255
"""The number of pixels that nobody judges (void)."""


def encode_mask(mask: Array) -> str:
    """(H, W) uint8 as the base64 of a PNG."""
    return base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()


def decode_mask(text: str) -> Array:
    """(H, W) uint8 from what `encode_mask` wrote."""
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
