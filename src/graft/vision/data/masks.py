"""Masks of class numbers: how they travel as text, and how files become them."""

import base64
from pathlib import Path

import cv2
import numpy as np

from graft.vision.records import Array
from graft.vision.store import ArrayStore

NAMESPACE = "masks-2"
"""Changes with the numbers that equal mask files give."""

IGNORED = 255
"""The number of pixels that nobody judges (void)."""


def encode_mask(mask: Array) -> str:
    """(H, W) uint8 as the base64 of a PNG."""
    return base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()


def decode_mask(text: str) -> Array:
    """(H, W) uint8 from what `encode_mask` wrote."""
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    mask: Array | None = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return mask


def open_masks(pixel_folder: Path) -> ArrayStore:
    """The masks that were decoded beside these pixels, by the digest in their truth text."""
    return ArrayStore(pixel_folder.parent / "masks", NAMESPACE, {"masks": NAMESPACE})
