"""What must be known of weights before they are used."""

from typing import Literal

from graft.vision.options import Options


class WeightsContract(Options):
    """Everything that weights promise; travels with every model grafted on them."""

    architecture: str
    """Name of the timm model, e.g. ``tf_efficientnet_lite0``."""
    origin: str
    """Where the bytes come from, e.g. a package with its version, a file, or ``none`` (scratch)."""
    licence: str
    pretrained_on: str
    sha256: str
    """SHA-256 of the weight file; empty only for scratch."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size_px: int
    crop_share: float
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"]
    channels: Literal[1, 3, 4] = 3
    """Channels the grafted stem takes; the pre-trained stem takes 3."""
    channel_order: Literal["RGB"] = "RGB"
    features: int
    """Length of the pooled feature vector."""
    stages: tuple[str, ...]
    """Named stages from stem to last."""
