"""What detection may be told; light to import."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from graft.vision import options

if TYPE_CHECKING:
    from graft.vision.preprocessing import Preprocessing


class TaskOptions(options.TaskOptions):
    """Options of a detector: its kind, its pyramid, its anchors, and what it says."""

    architecture: Literal["faster_rcnn", "retinanet", "fcos"] = "faster_rcnn"
    """Two stages with anchors (Ren et al., 2015), one stage with anchors (Lin et al., 2017), or
    one stage without (Tian et al., 2019)."""
    reductions: tuple[int, ...] = Field(default=(8, 16, 32), min_length=1, strict=False)
    """Px of the view per place of each map that the backbone gives. A map at 4 sees objects of
    less than 16 px, and doubles the time of a step."""
    extra_levels: int = Field(default=1, ge=0, le=3)
    """Maps added at the coarse end, each at half the side of the one before."""
    pyramid_channels: int = Field(default=128, ge=16, multiple_of=16)
    head_units: int = Field(default=256, ge=16)
    """Of the two layers that judge a proposal (Faster R-CNN)."""
    anchor_scales: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    """Sides of anchors, in places of their own map; fitted to the training boxes when null."""
    anchor_ratios: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    """Heights of anchors by their widths; fitted to the training boxes when null."""
    score_threshold: float = Field(default=0.02, ge=0, lt=1)
    """What scores less is not said."""
    nms_iou: float = Field(default=0.5, gt=0, le=1)
    """Of two boxes of one class that overlap more than this, the better is said."""
    detections_per_image: int = Field(default=100, ge=1, le=100)

    def fitted_to(
        self, texts: Sequence[str], view: "Preprocessing", short_side_px: int | None = None
    ) -> Self:
        """With anchors that fit the boxes which are taught, where conf names none."""
        from graft.vision.tasks.detection.fitting import fit_anchors

        return self.model_copy(update=fit_anchors(self, texts, view, short_side_px))
