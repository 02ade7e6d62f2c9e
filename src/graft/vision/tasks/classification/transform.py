"""How augmentation treats an image and its classes: the classes stay."""

from typing import Any

from graft.vision.records import Array, Truth


def compose_options() -> dict[str, Any]:
    """Nothing travels with the image that a geometric transform would have to move."""
    return {}


def transform(compose: Any, pixels: Array, truth: Truth) -> tuple[Array, Truth]:
    """Augment (H, W, C) uint8 pixels; the truth is returned as it is."""
    return compose(image=pixels)["image"], truth
