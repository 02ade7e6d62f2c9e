"""A verdict, not a number: which is the cheapest model that cannot be told apart from the best?

Contenders meet on the same test images. Each is compared with the best by a paired cluster
bootstrap of the difference, its two-sided p-value corrected by Holm over the comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.vision.evaluation.bootstrap import interval, resamples
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.task import Metrics

BETTER, SAME = "better", "not distinguishable"


@dataclass
class Contender:
    """A model with its metrics on the common test images, and the minutes it took.

    Attributes:
        cost: its place among the others by what its kind costs, 0 the cheapest. Not its minutes,
            which are another on each clock: of equals the same one is chosen each time.
    """

    name: str
    metrics: Metrics
    minutes: float
    cost: int
    notes: tuple[str, ...] = ()


def judge(
    contenders: Sequence[Contender],
    primary: str,
    units: Sequence[str],
    options: EvaluationOptions,
) -> dict[str, Any]:
    """The verdict as a record: chosen, best, fine_tuning_pays, sentences, table of contenders."""
    drawn = _draw(contenders, primary, units, options)
    values = {c.name: c.metrics.scores()[primary] for c in contenders}
    best = max(contenders, key=lambda c: (_or_least(values[c.name]), -c.cost)).name
    differences = {
        c.name: paired_difference(values, drawn, c.name, best, options)
        for c in contenders
        if c.name != best
    }
    corrected = holm({name: float(found["p_value"]) for name, found in differences.items()})
    level = 1 - options.confidence
    same = [c for c in contenders if c.name == best or corrected[c.name] > level]
    chosen = min(same, key=lambda c: c.cost).name
    table = [
        _row(c, values, drawn, differences, corrected, [s.name for s in same], options)
        for c in contenders
    ]
    pays, reason = _does_fine_tuning_pay(contenders, values, drawn, options)
    return {
        "primary": primary,
        "chosen": chosen,
        "best": best,
        "indistinguishable": [c.name for c in same],
        "fine_tuning_pays": pays,
        "confidence": options.confidence,
        "images": len(units),
        "units": len(set(units)),
        "sentences": [
            _choice(chosen, best, [c.name for c in same], len(contenders)),
            reason,
            *_warnings(contenders, values, drawn, options),
        ],
        "table": table,
    }


def paired_difference(
    values: dict[str, float],
    drawn: dict[str, np.ndarray],
    name: str,
    other: str,
    options: EvaluationOptions,
) -> dict[str, float | str]:
    """Difference ``name - other`` on the same resamples, its interval and two-sided p-value."""
    gaps = drawn[name] - drawn[other]
    finite = gaps[np.isfinite(gaps)]
    found: dict[str, float | str] = dict(
        interval(values[name] - values[other], list(finite), options)
    )
    # Share of resamples on the far side of no difference, counted twice, never exactly 0.
    below, above = float((finite <= 0).sum()), float((finite >= 0).sum())
    found["p_value"] = min(1.0, 2 * (min(below, above) + 1) / (len(finite) + 1))
    return found


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's correction: each p-value times the number of hypotheses not yet rejected."""
    corrected: dict[str, float] = {}
    running = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda n: p_values[n])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = running
    return corrected


def _draw(
    contenders: Sequence[Contender], primary: str, units: Sequence[str], options: EvaluationOptions
) -> dict[str, np.ndarray]:
    drawn: dict[str, list[float]] = {c.name: [] for c in contenders}
    for rows in resamples(units, options):
        for c in contenders:
            drawn[c.name].append(c.metrics.scores(rows)[primary])
    return {name: np.array(values) for name, values in drawn.items()}


def _or_least(value: float) -> float:
    return value if np.isfinite(value) else -np.inf


def _row(
    contender: Contender,
    values: dict[str, float],
    drawn: dict[str, np.ndarray],
    differences: dict[str, dict[str, float | str]],
    corrected: dict[str, float],
    same: list[str],
    options: EvaluationOptions,
) -> dict[str, Any]:
    name = contender.name
    return {
        "name": name,
        **interval(values[name], list(drawn[name]), options),
        "minutes": contender.minutes,
        "difference_to_best": differences.get(name),
        "p_value_corrected": corrected.get(name),
        "distinguishable_from_best": name not in same,
        "notes": list(contender.notes),
    }


def _does_fine_tuning_pay(
    contenders: Sequence[Contender],
    values: dict[str, float],
    drawn: dict[str, np.ndarray],
    options: EvaluationOptions,
) -> tuple[str, str]:
    names = {c.name for c in contenders}
    if not {"probe", "fine_tuned"} <= names:
        return "cannot tell", "Probe and fine-tuned model did not meet."
    gap = paired_difference(values, drawn, "fine_tuned", "probe", options)
    said = _points(gap)
    low, high = gap["low"], gap["high"]
    if isinstance(low, str) or isinstance(high, str):
        return "cannot tell", "Whether fine-tuning pays cannot be told: the score is undefined."
    if low > 0:
        return "yes", f"Fine-tuning pays: it gains {said} over the probe."
    if high < 0:
        return "no", f"Fine-tuning does not pay: it loses against the probe ({said})."
    if high < options.worthwhile_gain:
        return "no", f"Fine-tuning does not pay: it gains too little over the probe ({said})."
    return (
        "cannot tell",
        f"That fine-tuning pays cannot be shown on these images ({said} over the probe).",
    )


def _choice(chosen: str, best: str, same: list[str], count: int) -> str:
    if len(same) == count:
        return f"Nothing can be told apart on these images; {chosen} is the cheapest and is chosen."
    if chosen == best:
        return f"{chosen} is chosen: it is the best, and nothing cheaper comes close."
    return f"{chosen} is chosen: it is cheaper than {best} and cannot be told apart from it."


def _warnings(
    contenders: Sequence[Contender],
    values: dict[str, float],
    drawn: dict[str, np.ndarray],
    options: EvaluationOptions,
) -> list[str]:
    said = [f"{c.name}: {note}." for c in contenders for note in c.notes]
    names = {c.name for c in contenders}
    if "scratch" in names and len(names) > 1:
        rival = max(names - {"scratch"}, key=lambda name: _or_least(values[name]))
        gap = paired_difference(values, drawn, rival, "scratch", options)
        if isinstance(gap["low"], float) and gap["low"] > 0:
            said.append(f"Pre-training is worth {_points(gap)} over the same model from scratch.")
        elif isinstance(gap["low"], float):
            said.append(
                "Misfit: the pre-trained models do not beat the same model from scratch "
                f"({_points(gap)}); these weights may not suit these images."
            )
    return said


def _points(gap: dict[str, float | str]) -> str:
    if any(isinstance(gap[end], str) for end in ("value", "low", "high")):
        return "n/a"
    return f"{gap['value']:+.3f}, interval {gap['low']:+.3f} to {gap['high']:+.3f}"
