"""Drift of some images against those that the champion learned from."""

from typing import Any

import pandas as pd

from graft.vision.data.splits import classes_of
from graft.vision.monitoring.batch import Batch
from graft.vision.monitoring.changes import some_units
from graft.vision.monitoring.direction import explain_drift
from graft.vision.monitoring.drift import CANNOT_TELL, DRIFTED, find_drift, why_not
from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.monitoring.power import measure_power
from graft.vision.monitoring.sight import Sight

LOOKED_AT = 2000
"""Images of either side that are compared, drawn in whole units; more take time and tell little."""
SHIFTED = 200
"""Known images that are shifted to tell the power: each of them in every strength."""


def watch_drift(
    sight: Sight,
    known: pd.DataFrame,
    new: pd.DataFrame,
    options: MonitoringOptions,
    power: bool,
) -> dict[str, Any]:
    """Whether new images look like known ones, which way they differ, and what would be found.

    Args:
        known: the champion's training images, with ``unit``, ``truth``.
        new: images whose bytes the champion has never had, with ``unit``; ``truth`` if there is.

    Returns:
        As `find_drift`, with ``direction`` (of `explain_drift`; null without drift), ``power`` (of
        `measure_power`; null unless asked for) and ``lost``: known images that are not at hand.
    """
    there = sight.at_hand(known)
    sides = [some_units(rows, LOOKED_AT, options.seed) for rows in (there, new)]
    lost = len(known) - len(there)
    reason = why_not(_counts(*sides), options.drift)
    if reason:  # without the embeddings of what is too little
        said = f"Whether the images have drifted cannot be told: {reason}."
        told = {"p_value": None, "false_alarm_rate": options.drift.false_alarm_rate}
        found = {"verdict": CANNOT_TELL, **told, **_counts(*sides), "sentences": [said]}
        return {**found, "direction": None, "power": None, "lost": lost}
    batches = _batches(sight, *sides)
    found = find_drift(*batches, options.drift, options.seed)
    drifted = found["verdict"] == DRIFTED
    direction = explain_drift(*batches, options.drift, options.seed) if drifted else None
    planted = _power(sight, sides[0], batches[1].unit_count, options) if power else None
    return {**found, "direction": direction, "power": planted, "lost": lost}


def parts_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of what `watch_drift` told that say something, in order."""
    return [found, *(part for part in (found["direction"], found["power"]) if part)]


def _batches(sight: Sight, known: pd.DataFrame, new: pd.DataFrame) -> tuple[Batch, Batch]:
    labelled = "truth" in new
    texts = {*known["truth"], *new["truth"]} if labelled else set()
    classes = sorted({name for text in texts for name in classes_of(text)})
    return sight.batch(known, classes), sight.batch(new, classes)


def _power(
    sight: Sight, known: pd.DataFrame, units: int, options: MonitoringOptions
) -> dict[str, Any]:
    some = some_units(known, SHIFTED, options.seed)
    window = min(units, some["unit"].nunique() // 2)
    twins = sight.twins(some)
    return measure_power(sight.batch(some), twins, window, options.drift, options.seed)


def _counts(known: pd.DataFrame, new: pd.DataFrame) -> dict[str, int]:
    sides = {"known": known, "new": new}
    return {
        f"{name}_{what}": count
        for name, rows in sides.items()
        for what, count in (("images", len(rows)), ("units", rows["unit"].nunique()))
    }
