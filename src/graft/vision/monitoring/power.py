"""What the drift test does on these very images: clean windows, and windows with planted shifts.

A window is drawn from the known images by whole units, as many as the new batch has, and tested
against the rest; a shifted twin of the known images stands in for a shift of that kind.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graft.vision.monitoring.batch import Batch
from graft.vision.monitoring.drift import CANNOT_TELL, chance_of, why_not
from graft.vision.monitoring.options import DriftOptions
from graft.vision.monitoring.windows import number_units
from graft.vision.records import Array

ROWS = 3000
"""Known images that a window is tested against: more add time, and little power."""

Twins = Mapping[str, Mapping[float, Batch]]
"""By name of a shift and its strength: the known images, shifted; the same rows and units."""


def count_false_alarms(
    known: Batch, window_units: int, windows: int, options: DriftOptions, seed: int
) -> dict[str, Any]:
    """How many of so many clean windows are called drifted.

    Returns:
        ``windows``, ``alarms``, ``share`` (null where nothing can be told), ``sentences``.
    """
    reason = _why_not(known, window_units, options)
    if reason:
        said = f"False alarms cannot be counted: {reason}."
        return {"windows": 0, "alarms": 0, "share": None, "sentences": [said]}
    alarms = _alarms(known, known, window_units, windows, options, seed)
    said = (
        f"Of {windows} clean windows of {window_units} units {alarms} were called drifted; "
        f"the stated rate is {options.false_alarm_rate:g}."
    )
    return {"windows": windows, "alarms": alarms, "share": alarms / windows, "sentences": [said]}


def measure_power(
    known: Batch, twins: Twins, window_units: int, options: DriftOptions, seed: int
) -> dict[str, Any]:
    """The smallest strength of each shift that is found as often as ``options.power`` asks.

    Args:
        window_units: units of the new batch that power is stated for.

    Returns:
        ``table`` (rows of ``shift``, ``strength``, ``found``: share of windows), ``smallest``
        (strength by name, null where none is found so often), ``verdict`` (cannot tell, or null),
        ``sentences``.
    """
    reason = _why_not(known, window_units, options)
    if reason:
        said = f"Which shifts would be found cannot be told: {reason}."
        return {"table": [], "smallest": {}, "verdict": CANNOT_TELL, "sentences": [said]}
    times = options.power_windows
    table = [
        {
            "shift": name,
            "strength": strength,
            "found": _alarms(known, twin, window_units, times, options, seed) / times,
        }
        for name, by_strength in twins.items()
        for strength, twin in sorted(by_strength.items())
    ]
    smallest = {name: _smallest(name, table, options.power) for name in twins}
    said = _sentence(smallest, window_units, options)
    return {"table": table, "smallest": smallest, "verdict": None, "sentences": [said]}


def _why_not(known: Batch, window_units: int, options: DriftOptions) -> str:
    images = round(len(known) * window_units / max(known.unit_count, 1))
    counts = {"new_images": images, "known_images": len(known) - images}
    counts |= {"new_units": window_units, "known_units": known.unit_count - window_units}
    return why_not(counts, options)


def _alarms(
    known: Batch, twin: Batch, window_units: int, windows: int, options: DriftOptions, seed: int
) -> int:
    """How many windows of the twin are called drifted, each against the other known units."""
    units = number_units(known.units)
    alarms = 0
    for number in range(windows):
        rng = np.random.default_rng([seed, number])
        order = rng.permutation(units.count)
        window = twin.rows(units.rows_of(order[:window_units]))
        others = known.rows(units.rows_of(_enough(order[window_units:], units.sizes)))
        p_value = chance_of(others, window, options, int(rng.integers(1 << 31)))
        alarms += p_value <= options.false_alarm_rate
    return alarms


def _enough(order: Array, sizes: Array) -> Array:
    """The first of these units that together hold enough images."""
    return order[: 1 + int(np.searchsorted(np.cumsum(sizes[order]), ROWS))]


def _smallest(name: str, table: list[dict[str, Any]], power: float) -> float | None:
    """The strength from which on all are found often enough."""
    reached = None
    for row in reversed([row for row in table if row["shift"] == name]):
        if row["found"] < power:
            break
        reached = row["strength"]
    return reached


def _sentence(smallest: dict[str, float | None], units: int, options: DriftOptions) -> str:
    found = [f"{name} by {value:g}" for name, value in smallest.items() if value is not None]
    missed = [name for name, value in smallest.items() if value is None]
    said = f"In {options.power:.0%} of batches of {units} units these would be found: "
    said += ", ".join(found) if found else "none of the planted shifts"
    return said + (f"; not so often: {', '.join(missed)}." if missed else ".")
