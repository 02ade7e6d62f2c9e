"""Intervals by resampling images; images that belong together are drawn together."""

from collections.abc import Iterator, Sequence

import numpy as np

from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.records import Array
from graft.vision.task import Metrics

Score = dict[str, float | str]
UNDEFINED = "n/a"


def resamples(units: Sequence[str], options: EvaluationOptions) -> Iterator[Array]:
    """Row numbers of each resample: units drawn with replacement (cluster bootstrap)."""
    names, number = np.unique(np.array(units), return_inverse=True)
    members = [np.flatnonzero(number == i) for i in range(len(names))]
    generator = np.random.default_rng(options.seed)
    for _ in range(options.resamples):
        drawn = generator.integers(len(members), size=len(members))
        yield np.concatenate([members[i] for i in drawn])


def bootstrap_scores(
    metrics: Metrics, units: Sequence[str], options: EvaluationOptions
) -> dict[str, Score]:
    """Each score with its percentile interval; ``n/a`` where undefined."""
    plain = metrics.scores()
    drawn: dict[str, list[float]] = {name: [] for name in plain}
    for rows in resamples(units, options):
        for name, value in metrics.scores(rows).items():
            drawn[name].append(value)
    return {name: interval(value, drawn[name], options) for name, value in plain.items()}


def interval(value: float, drawn: Sequence[float], options: EvaluationOptions) -> Score:
    """``{"value", "low", "high"}``, with ``n/a`` for what is undefined."""
    finite = np.array([d for d in drawn if np.isfinite(d)])
    if not np.isfinite(value):
        return {"value": UNDEFINED, "low": UNDEFINED, "high": UNDEFINED}
    if len(finite) == 0:
        return {"value": float(value), "low": UNDEFINED, "high": UNDEFINED}
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return {"value": float(value), "low": float(low), "high": float(high)}
