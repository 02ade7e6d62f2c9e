"""How contenders are judged; light to import."""

from pydantic import Field

from graft.vision.options import Options


class EvaluationOptions(Options):
    """Intervals, tests and pictures of the evaluation."""

    resamples: int = Field(default=1000, ge=100)
    """Of the paired bootstrap."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    worthwhile_gain: float = Field(default=0.01, ge=0)
    """What fine-tuning must be able to gain; a smaller possible gain means that it does not pay."""
    seed: int = 0
    worst_images: int = Field(default=12, ge=0)
    """Pictures of the surest errors in the report."""
    attention_images: int = Field(default=6, ge=0)
    """Class-activation maps in the report."""
