"""How training varies what it sees; light to import."""

from typing import Any, Literal

from pydantic import Field

from graft.vision.options import Options


class PolicyOptions(Options):
    """A preset, or any composition of albumentations."""

    preset: Literal["natural", "traffic_sign", "radiology", "none", "custom"] = "natural"
    strength: float = Field(default=1.0, gt=0, le=2)
    """Scales how far a preset's changes go."""
    transforms: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    """For ``custom``: ``{name: HorizontalFlip, p: 0.5}`` and so on, in order. The view's own
    resize and crop goes before them."""
