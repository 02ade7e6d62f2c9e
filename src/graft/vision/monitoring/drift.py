"""Whether new images look like the known ones: a two-sample test whose false alarms are counted.

Without drift it is arbitrary which units are the new ones. Windows of as many units, dealt from all
that there are, give what the statistic may be by chance; the rank of the new batch among them is
its p-value (permutation test). It is exact for few units too, whose spread a threshold that was
fixed beforehand would not know.
"""

from typing import Any

import numpy as np

from graft.vision.errors import DataError
from graft.vision.monitoring.batch import Batch
from graft.vision.monitoring.options import DriftOptions
from graft.vision.monitoring.sketches import sketch
from graft.vision.monitoring.windows import Units, deal_with_new_first, mean_gaps, pool, ways
from graft.vision.records import Array

DRIFTED, CLEAN, CANNOT_TELL = "drifted", "no drift found", "cannot tell"


def find_drift(known: Batch, new: Batch, options: DriftOptions, seed: int) -> dict[str, Any]:
    """Compare new images with those that the champion learned from.

    Returns:
        ``verdict`` (drifted, no drift found, cannot tell), ``p_value``, ``false_alarm_rate``,
        ``known_images``, ``known_units``, ``new_images``, ``new_units``, ``sentences``.

    Raises:
        DataError: for embeddings of different backbones.
    """
    told = {"false_alarm_rate": options.false_alarm_rate, **counts_of(known, new)}
    reason = why_not(counts_of(known, new), options)
    if reason:
        said = f"Whether the images have drifted cannot be told: {reason}."
        return {"verdict": CANNOT_TELL, "p_value": None, **told, "sentences": [said]}
    p_value = chance_of(known, new, options, seed)
    drifted = p_value <= options.false_alarm_rate
    return {
        "verdict": DRIFTED if drifted else CLEAN,
        "p_value": p_value,
        **told,
        "sentences": [_sentence(drifted, p_value, new, options)],
    }


def counts_of(known: Batch, new: Batch) -> dict[str, int]:
    """Images and units of both sides, by name."""
    return {
        "known_images": len(known),
        "known_units": known.unit_count,
        "new_images": len(new),
        "new_units": new.unit_count,
    }


def why_not(counts: dict[str, int], options: DriftOptions) -> str:
    """Why nothing can be told; empty where something can."""
    for side in ("new", "known"):
        if counts[f"{side}_images"] < options.images_min:
            return f"{counts[f'{side}_images']} {side} images, and {options.images_min} are needed"
        if counts[f"{side}_units"] < options.units_min:
            return (
                f"the {side} images are of {counts[f'{side}_units']} units that were drawn apart, "
                f"and {options.units_min} are needed"
            )
    windows = ways(counts["new_units"] + counts["known_units"], counts["new_units"])
    least = 1 / min(windows, options.permutations + 1)
    if least > options.false_alarm_rate:
        return (
            f"with {windows} different windows and {options.permutations} permutations no p-value "
            f"is below {least:.2g}, and the rate of false alarms is {options.false_alarm_rate:g}"
        )
    return ""


def chance_of(known: Batch, new: Batch, options: DriftOptions, seed: int) -> float:
    """The p-value: how often units dealt at random differ as much as the new ones do."""
    _check(known, new)
    rng = np.random.default_rng(seed)
    units = pool(known.units, new.units)
    blocks = sketch(known, new, rng)
    windows = deal_with_new_first(units, new.unit_count, options.permutations, rng)
    found = _statistic(blocks, units, windows)
    # Equal up to rounding counts as reached: few units give the same window twice.
    reached = (found[1:] >= found[0] - 1e-4).sum()
    return float((1 + reached) / len(found))


def _statistic(blocks: list[Array], units: Units, windows: Array) -> Array:
    """(W,) greatest, over the blocks, of the standardised distance of means."""
    columns = np.cumsum([block.shape[1] for block in blocks])[:-1]
    gaps = mean_gaps(units.sums(np.concatenate(blocks, axis=1)), units.sizes, windows)
    parts = np.split(gaps, columns, axis=1)
    # The cube root makes sums of squares nearly normal, be they of one column or of many (Wilson
    # and Hilferty, 1931), so that none of the blocks drowns the others.
    distances = np.stack([np.cbrt((part * part).sum(axis=1)) for part in parts], axis=1)
    spread = np.maximum(distances.std(axis=0), 1e-6)
    return np.asarray(((distances - distances.mean(axis=0)) / spread).max(axis=1))


def _check(known: Batch, new: Batch) -> None:
    if known.embeddings.shape[1] != new.embeddings.shape[1]:
        raise DataError(
            "known and new images have embeddings of different backbones",
            found=f"{known.embeddings.shape[1]} and {new.embeddings.shape[1]} numbers",
            allowed="the backbone and view of the champion for both",
            mend="extract both with the champion's card",
        )


def _sentence(drifted: bool, p_value: float, new: Batch, options: DriftOptions) -> str:
    of = f"{len(new)} new images ({new.unit_count} units)"
    rate = f"{options.false_alarm_rate:.2g} of clean batches would be called drifted"
    if drifted:
        return f"The {of} do not look like the known ones (p = {p_value:.2g}; {rate})."
    return f"No drift is found in the {of} (p = {p_value:.2g}; {rate})."
