"""Decoded pixels by content: what was decoded once, by a rule, is not decoded again."""

from pathlib import Path
from typing import Protocol

import numpy as np

from graft.vision.data.decoding import Decoded
from graft.vision.data.options import DecodingOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array
from graft.vision.store import ArrayStore


class PixelReader(Protocol):
    """Anything that gives pixels for the digest of a file."""

    def read(self, sha256: str) -> Array:
        """Upright (H, W, C) uint8 pixels of the file with this digest."""


class PixelStore:
    """Pixels by the SHA-256 of the file they were decoded from.

    Refusals are kept too, so that a file that cannot be used is not tried again.

    Args:
        folder: of all pixel stores; each decoding rule has its own below it.
        options: the decoding rule.
    """

    def __init__(self, folder: Path, options: DecodingOptions) -> None:
        self.options = options
        rule = {"decoding": options.model_dump(mode="json")}
        self.array_store = ArrayStore(folder, options.digest[:16], rule)

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self.array_store

    def holds(self, sha256: str) -> bool:
        """Whether the pixels are there as they were decoded; compared once per process."""
        return self.array_store.holds(sha256)

    def read(self, sha256: str) -> Array:
        """Upright (H, W, C) uint8 pixels, read-only."""
        return self.array_store.read(sha256)

    def facts(self, sha256: str) -> dict[str, object]:
        """width, height, channels, notes of the original; or ``reason`` of its refusal."""
        return self.array_store.meta(sha256)


def facts_of(result: Decoded | UnusableImageError) -> dict[str, object]:
    """What is kept beside the pixels: the original's size and notes, or the reason of a refusal."""
    if isinstance(result, UnusableImageError):
        return {"reason": str(result).rstrip(".")}
    return {
        "width": result.width,
        "height": result.height,
        "channels": result.channels,
        "notes": "; ".join(result.notes),
    }


def pixels_of(result: Decoded | UnusableImageError) -> Array:
    """The pixels, or an empty array for a refusal."""
    return result.pixels if isinstance(result, Decoded) else np.zeros(0, np.uint8)
