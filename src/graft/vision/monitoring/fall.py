"""Whether the champion's score has fallen on newly annotated images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.evaluation.bootstrap import UNDEFINED, resamples
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.verdict import paired_difference
from graft.vision.monitoring.drift import CANNOT_TELL
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.promotion.gain import DEFINED_SHARE_MIN, expanded
from graft.vision.records import Array
from graft.vision.task import ClassTable, Metrics, Task

FALLEN, NOT_FALLEN = "fallen", "not fallen"
NEW, KNOWN = "new", "known"


def find_fall(
    task: Task,
    classes: ClassTable,
    known: pd.DataFrame,
    new: pd.DataFrame,
    options: RetrainingOptions,
) -> dict[str, Any]:
    """Compare the primary metric of two tables of predictions of different images.

    Units of either side are drawn by themselves, with replacement; the interval of the difference
    is as wide as Student's t asks for on the side with fewer units. The score has fallen when the
    interval lies below 0 and the difference is ``score_drop_min`` at least; it has not when the
    interval leaves no room for such a fall.

    Args:
        known: the champion's recorded predictions of its own test images, with ``unit``, ``truth``.
        new: what it says of images that it has not learned from.

    Returns:
        ``verdict`` (fallen, not fallen, cannot tell), ``primary``, ``score``, ``known_score``,
        ``difference`` (value, low, high, p_value; null where none is told), ``images``, ``units``,
        ``known_images``, ``known_units``, ``sentences``.
    """
    sides = {NEW: new, KNOWN: known}
    told: dict[str, Any] = _counts(sides)
    reason = _too_few(told, options)
    if reason:
        return no_verdict(task, reason, **told)
    metrics = {name: task.new_metrics(rows, classes) for name, rows in sides.items()}
    values = {name: side.scores()[task.primary_metric] for name, side in metrics.items()}
    told |= {"primary": task.primary_metric}
    told |= {"score": _plain(values[NEW]), "known_score": _plain(values[KNOWN])}
    found = _difference(metrics, values, sides, task.primary_metric, options)
    if found is None:
        return no_verdict(task, f"{task.primary_metric} is undefined on these images", **told)
    verdict = _verdict(found, options)
    said = _sentence(verdict, values, found, told)
    return {"verdict": verdict, **told, "difference": found, "sentences": [said]}


def no_verdict(task: Task, reason: str, **told: Any) -> dict[str, Any]:
    """As `find_fall`, where nothing can be told for this reason."""
    said = f"Whether the champion's score has fallen cannot be told: {reason.rstrip('.')}."
    empty = {"score": UNDEFINED, "known_score": UNDEFINED, "difference": None}
    empty |= dict.fromkeys(("images", "units", "known_images", "known_units"))
    begun = {"verdict": CANNOT_TELL, "primary": task.primary_metric}
    return {**begun, **empty, **told, "sentences": [said]}


def _difference(
    metrics: dict[str, Metrics],
    values: dict[str, float],
    sides: dict[str, pd.DataFrame],
    primary: str,
    options: RetrainingOptions,
) -> dict[str, float] | None:
    if not np.isfinite(values[NEW] - values[KNOWN]):
        return None
    units = {name: list(rows["unit"]) for name, rows in sides.items()}
    rule = options.monitoring
    fewest = min(len(set(names)) for names in units.values())
    drawing = EvaluationOptions(
        resamples=rule.resamples, confidence=expanded(rule.confidence, fewest), seed=rule.seed
    )
    drawn = {
        name: _drawn(metrics[name], units[name], primary, drawing, number)
        for number, name in enumerate(sides)
    }
    gaps = drawn[NEW] - drawn[KNOWN]
    if np.isfinite(gaps).mean() < DEFINED_SHARE_MIN:
        return None
    found = paired_difference(values, drawn, NEW, KNOWN, drawing)
    return {name: float(value) for name, value in found.items()}


def _drawn(
    metrics: Metrics, units: Sequence[str], primary: str, drawing: EvaluationOptions, number: int
) -> Array:
    # Seeds of their own, for the two sides have no unit in common.
    own = drawing.model_copy(update={"seed": 2 * drawing.seed + number})
    return np.array([metrics.scores(rows)[primary] for rows in resamples(units, own)])


def _counts(sides: dict[str, pd.DataFrame]) -> dict[str, int]:
    return {
        "images": len(sides[NEW]),
        "units": sides[NEW]["unit"].nunique(),
        "known_images": len(sides[KNOWN]),
        "known_units": sides[KNOWN]["unit"].nunique(),
    }


def _too_few(told: dict[str, Any], options: RetrainingOptions) -> str:
    least = options.monitoring.drift
    if told["images"] < least.images_min:
        return f"{told['images']} new images have a truth, and {least.images_min} are needed"
    for side, units in (("new", told["units"]), ("test", told["known_units"])):
        if units < least.units_min:
            return f"the {side} images are of {units} units, and {least.units_min} are needed"
    return ""


def _verdict(found: dict[str, float], options: RetrainingOptions) -> str:
    if found["high"] < 0 and found["value"] <= -options.score_drop_min:
        return FALLEN
    return NOT_FALLEN if found["low"] >= -options.score_drop_min else CANNOT_TELL


def _sentence(
    verdict: str, values: dict[str, float], found: dict[str, float], told: dict[str, Any]
) -> str:
    begin = {
        FALLEN: "The champion's score has fallen",
        NOT_FALLEN: "The champion's score has not fallen",
        CANNOT_TELL: "Whether the champion's score has fallen cannot be told",
    }[verdict]
    return (
        f"{begin}: {told['primary']} is {values[NEW]:.3f} on {told['images']} new images "
        f"({told['units']} units), and was {values[KNOWN]:.3f} on its own test images "
        f"({found['value']:+.3f}, interval {found['low']:+.3f} to {found['high']:+.3f})."
    )


def _plain(value: float) -> float | str:
    return float(value) if np.isfinite(value) else UNDEFINED
