"""Which way images have drifted, in words that a person can check by eye."""

from typing import Any

import numpy as np
import pandas as pd

from graft.vision.monitoring.batch import CLASS, Batch, common_statistics
from graft.vision.monitoring.options import DriftOptions
from graft.vision.monitoring.windows import deal_with_new_first, mean_gaps, pool
from graft.vision.records import Array

WORDS = {
    "brightness": ("darker", "brighter"),
    "contrast": ("lower in contrast", "higher in contrast"),
    "sharpness": ("more blurred", "sharper"),
    "saturation": ("paler in colour", "stronger in colour"),
    "warmth": ("bluer", "warmer in colour"),
    "noise": ("smoother", "noisier or richer in fine texture"),
    "size": ("smaller", "larger"),
}
"""What less and more of each statistic is called; `size` is the logarithm of the pixels."""
CLEAR = 0.3
"""Standardised difference from which a statistic is named; 0.2 is small, 0.5 medium (Cohen)."""
MOST_NAMED = 3


def explain_drift(known: Batch, new: Batch, options: DriftOptions, seed: int) -> dict[str, Any]:
    """Name the statistics that differ most between known and new images, and not by chance.

    Returns:
        ``likely`` (names, the strongest first); ``table`` with a row per statistic that both sides
        have: ``name``, ``known`` and ``new`` (means), ``difference`` (in known deviations),
        ``p_value`` (corrected over all: the greatest of each permutation); ``sentences``.
    """
    names = common_statistics(known, new)
    if not names:
        return {"likely": [], "table": [], "sentences": ["No statistics of images were compared."]}
    table = _compare(known, new, names, options, seed)
    clear = (table["p_value"] <= options.false_alarm_rate) & (table["difference"].abs() >= CLEAR)
    likely = _rows(table[clear].sort_values("difference", key=np.abs, ascending=False))
    return {
        "likely": [row["name"] for row in likely],
        "table": _rows(table),
        "sentences": [_sentence(likely)],
    }


def _compare(
    known: Batch, new: Batch, names: list[str], options: DriftOptions, seed: int
) -> pd.DataFrame:
    first, second = (side.statistics[names].to_numpy(float) for side in (known, new))
    both = np.concatenate([first, second])
    deviation = np.maximum(both.std(axis=0), 1e-9)
    # A class or shade that no known image has must not differ without bounds.
    own = np.maximum(first.std(axis=0), deviation / 4)
    return pd.DataFrame(
        {
            "name": names,
            "known": first.mean(axis=0),
            "new": second.mean(axis=0),
            "difference": (second.mean(axis=0) - first.mean(axis=0)) / own,
            "p_value": _chances(both / deviation, known, new, options, seed),
        }
    )


def _chances(values: Array, known: Batch, new: Batch, options: DriftOptions, seed: int) -> Array:
    """(F,) how often the greatest of all gaps of a window dealt at random is as great."""
    units = pool(known.units, new.units)
    rng = np.random.default_rng(seed)
    windows = deal_with_new_first(units, new.unit_count, options.permutations, rng)
    gaps = np.abs(mean_gaps(units.sums(values - values.mean(axis=0)), units.sizes, windows))
    gaps /= np.maximum(np.sqrt((gaps[1:] ** 2).mean(axis=0)), 1e-9)
    greatest = gaps[1:].max(axis=1)
    return np.asarray((1 + (greatest[:, None] >= gaps[0] - 1e-9).sum(axis=0)) / len(gaps))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy(object)]


def _sentence(likely: list[dict[str, Any]]) -> str:
    if not likely:
        return (
            "No simple statistic of the images tells what the difference is; "
            "look at the pictures themselves."
        )
    named = "; ".join(_words(row) for row in likely[:MOST_NAMED])
    return f"The new images differ most so: {named}."


def _words(row: dict[str, Any]) -> str:
    name, first, second = str(row["name"]), row["known"], row["new"]
    if name.startswith(CLASS):
        return f"{name.removeprefix(CLASS)} in {second:.0%} of them in place of {first:.0%}"
    less, more = WORDS.get(name, (f"less {name}", f"more {name}"))
    word = more if row["difference"] > 0 else less
    return f"{word} ({name} {first:.3g} to {second:.3g}, {row['difference']:+.1f} deviations)"
