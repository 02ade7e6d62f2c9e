"""Classes that a batch is flooded with."""

import json
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from graft.vision.monitoring.options import IntakeOptions
from graft.vision.monitoring.windows import Units, number_units
from graft.vision.records import Array


def find_floods(
    known: pd.DataFrame, new: pd.DataFrame, options: IntakeOptions
) -> list[dict[str, Any]]:
    """The classes whose share of the new images is far above their share of the known ones.

    A class floods when so many images of it are less likely than ``flood_rate``, over all classes
    (binomial, Bonferroni), and its share has gained ``flood_gain_min``. Images of one unit are
    alike: both sides count as the fewer images that they are worth by the spread between units
    (design effect, Kish 1965).

    Args:
        known, new: tables with ``id``, ``truth`` and ``unit``.

    Returns:
        Per class: ``class``, ``share``, ``known_share``, ``p_value`` (corrected), ``files``.
    """
    if known.empty or new.empty:
        return []
    names = sorted({name for side in (known, new) for name in _names(side)})
    ours, theirs = _shows(known, names), _shows(new, names)
    our_units, their_units = (number_units(list(side["unit"])) for side in (known, new))
    found = []
    for place, name in enumerate(names):
        base, share = ours[:, place].mean(), theirs[:, place].mean()
        worth = [
            _worth(shown[:, place], units, base)
            for shown, units in ((ours, our_units), (theirs, their_units))
        ]
        p_value = min(1.0, len(names) * _chance(share, base, worth))
        if p_value <= options.flood_rate and share - base >= options.flood_gain_min:
            files = list(new["id"][theirs[:, place] > 0])
            row = {"class": name, "share": float(share), "known_share": float(base)}
            found.append({**row, "p_value": float(p_value), "files": files})
    return found


def _chance(share: float, base: float, worth: list[float]) -> float:
    """Of as many new images with the class, were its share the greatest that the known allow."""
    known, new = worth
    # Wilson's upper bound at two deviations: the known share is itself an estimate.
    centre = (base * known + 2) / (known + 4)
    bound = min(1.0, centre + 2 * np.sqrt(base * (1 - base) * known + 1) / (known + 4))
    return float(binom.sf(np.floor(share * new) - 1, max(1, round(new)), bound))


def _worth(shown: Array, units: Units, base: float) -> float:
    """How many images drawn one by one would tell the share as well; at least one."""
    count = len(shown)
    if units.count == count:
        return float(count)
    share = shown.mean()
    off = units.sums((shown - share)[:, None])[:, 0]
    plain = count * max(share * (1 - share), base * (1 - base), 1 / count)
    # Where all units agree, their spread tells nothing; then a unit is worth one image.
    effect = (off**2).sum() / plain if 0 < share < 1 else count / units.count
    return float(max(1.0, count / max(effect, 1.0)))


def _names(side: pd.DataFrame) -> set[str]:
    return {name for text in side["truth"].unique() for name in json.loads(text)["classes"]}


def _shows(side: pd.DataFrame, names: list[str]) -> Array:
    """(N, C) 1 where an image shows a class."""
    place = {name: number for number, name in enumerate(names)}
    shown = np.zeros((len(side), len(names)))
    for row, text in enumerate(side["truth"]):
        for name in json.loads(text)["classes"]:
            shown[row, place[name]] = 1
    return shown
