"""How training varies what it sees; light to import."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from graft.vision.options import Options


class PolicyOptions(Options):
    """A preset, or any composition of albumentations."""

    preset: Literal["natural", "traffic_sign", "radiology", "microscopy", "none", "custom"] = (
        "natural"
    )
    strength: float = Field(default=1.0, gt=0, le=2)
    """Scales how far a preset's changes go."""
    transforms: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    """For ``custom``: ``{name: HorizontalFlip, p: 0.5}`` and so on, in order; OneOf, SomeOf,
    RandomOrder and Sequential hold others under ``transforms``. The view's own resize and crop
    goes before them."""

    @model_validator(mode="after")
    def _transforms_need_custom(self) -> Self:
        if self.transforms and self.preset != "custom":
            raise ValueError(
                f"transforms are given, and preset {self.preset!r} has its own; "
                "set preset to 'custom', or take them out"
            )
        return self
