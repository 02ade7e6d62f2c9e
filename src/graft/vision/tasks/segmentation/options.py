"""What segmentation may be told."""

from typing import Literal

from pydantic import Field

from graft.vision import options


class TaskOptions(options.TaskOptions):
    """Options of the segmentation head and of what it learns by."""

    decoder: Literal["fpn", "unet", "deeplabv3plus", "segformer"] = "fpn"
    """How maps of the backbone become one map at a quarter of the view."""
    decoder_channels: int = Field(default=64, ge=64, le=1024, multiple_of=32)
    """Width of the decoder; what the head costs grows with its square."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the decoded channels dropped before the last layer, while training."""
    rarity_power: float = Field(default=0.5, ge=0, le=1)
    """How much more the pixels of rare classes weigh in training: a class weighs its share of the
    batch's judged pixels to the power of minus this. 0 counts pixels alike, 1 counts classes."""
    dice_share: float = Field(default=0.0, ge=0, le=1)
    """Of the training loss; the rest is cross-entropy. Dice counts all classes alike."""
