"""Which backbone, with which weights; light to import."""

from typing import Literal

from pydantic import Field

from graft.vision.options import Options


class BackboneOptions(Options):
    """A timm model and where its weights come from."""

    name: str = "efficientnet_lite0"
    """efficientnet_lite0, 1 or 2 (weights ship with graft's packages), or any timm name."""
    weights: str = "package"
    """``package``, ``hub`` (needs a network), ``none``, or the path of a weight file."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Full digest that a weight file must have; strongly advised for files."""
    licence: str | None = None
    """Of a weight file; a run with undeclared terms is refused."""
    pretrained_on: str | None = None
    """What a weight file was trained on."""
    channels: Literal[1, 3, 4] = 3
    image_size_px: int | None = Field(default=None, ge=32)
    """Side of the view; the weights' own when null."""
    crop_share: float | None = Field(default=None, gt=0, le=1)
    fit: Literal["crop", "squash", "letterbox", "tiles"] = "crop"
    """How an image becomes views; ``tiles`` keeps its scale, for images with small objects."""
    resize: Literal["fast", "exact"] = "fast"
    """How near images are scaled to the weights' own transforms: within 2 of 255, or to the bit."""
