"""Options of frozen features and of the probe; light to import."""

from typing import Literal

from pydantic import Field

from graft.vision.options import Options


class FeatureExtractionOptions(Options):
    """How frozen features are computed."""

    engine: Literal["auto", "torch", "compiled", "openvino", "cuda"] = "auto"
    """``auto``: CUDA where there is a GPU, else OpenVINO where it is installed, else torch."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 for pooled features where the device computes it fast, else fp32. Features of
    the one are never read as the other's."""
    batch_size: int = Field(default=16, ge=1)
    augmented_views: int = Field(default=0, ge=0)
    """Views of each training image beside the plain one, drawn from the policy."""


class ProbingOptions(Options):
    """How the probe is fitted."""

    strengths: tuple[float, ...] = Field(
        default=(0.001, 0.01, 0.1, 1.0, 10.0), strict=False, min_length=1
    )
    """Inverse L2 strengths (scikit-learn's C) to choose from by cross-validation."""
    folds: int = Field(default=5, ge=2)
    neighbours: int = Field(default=10, ge=1)
    """Of the k-NN score that stands beside the probe."""
    max_iterations: int = Field(default=200, ge=1)
    epochs: int = Field(default=12, ge=1)
    """Of a head that is not linear, which is trained on stored maps in place of being solved."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Of such a head."""
    batch_size: int = Field(default=16, ge=1)
    """Of such a head."""
    divide_batch_norm: bool = False
    """Of such a head: as in `graft.vision.training.options`."""
