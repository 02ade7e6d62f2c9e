"""Learning rates over a training: warm-up, then a half cosine to zero."""

import math


def rate_at(step: int, steps: int, warmup_share: float) -> float:
    """The share of the peak rate at a step (counted from 0) of ``steps``."""
    warmup = warmup_share * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
