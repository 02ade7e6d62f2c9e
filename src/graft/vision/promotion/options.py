"""What conf asks of a challenger; light to import."""

from typing import Literal

from pydantic import Field, field_validator

from graft.vision.options import Options

Share = Field(default=0.1, ge=0, le=1)


class PromotionOptions(Options):
    """The rule. Without one (an empty block, or ``asks: null``) no model becomes champion."""

    asks: Literal["better", "not_worse"] | None = None
    """``better``: the interval of the gain lies above 0. ``not_worse``: above ``-margin``."""
    margin: float = Field(default=0.01, ge=0)
    """Of the primary metric: what ``not_worse`` may lose."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the two-sided interval of the gain."""
    resamples: int = Field(default=1000, ge=100)
    seed: int = 0
    units_min: int = Field(default=6, ge=4)
    """Test images that belong together count as one; with fewer of them nothing can be told."""
    class_score: str = ""
    """The column of `Metrics.per_class` that floors are about: recall, ap, iou."""
    class_floor: float = Share
    class_loss_max: float = Share
    """What a class may lose against the champion."""
    class_images_min: int = Field(default=5, ge=1)
    """Test images that a class needs before its floor and loss are judged."""
    slices: dict[str, str] = Field(default_factory=dict)
    """Name -> regular expression on an image's id, whose first group names the slice."""
    slice_floor: float = Share
    """Of the primary metric, as is the loss."""
    slice_loss_max: float = Share
    slice_images_min: int = Field(default=10, ge=1)
    may_differ: tuple[Literal["preprocessing", "code"], ...] = Field(default=(), strict=False)
    """What two models may differ in and still be compared."""
    check_images: int = Field(default=4, ge=1, le=64)
    """Test images that the registered bytes must predict as recorded, in a clean process."""
    check_timeout_s: float = Field(default=300.0, gt=0)

    @field_validator("slices")
    @classmethod
    def _check_patterns(cls, slices: dict[str, str]) -> dict[str, str]:
        import re

        for name, pattern in slices.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name} is no regular expression ({error})") from error
        return slices


def rule_of(values: object, where: str) -> PromotionOptions | None:
    """The rule that conf states; None where it states none. Raises `OptionsError`."""
    rule = PromotionOptions.parse(values or {}, where)
    return rule if rule.asks else None
