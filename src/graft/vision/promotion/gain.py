"""What a challenger gains over the champion on the same images, with an interval."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from graft.vision.evaluation.bootstrap import resamples
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.verdict import paired_difference
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check
from graft.vision.task import Metrics

CHALLENGER, CHAMPION = "challenger", "champion"
DEFINED_SHARE_MIN = 0.9
"""Of the resamples, in which both scores must be defined for an interval to mean something."""


def gain(
    challenger: Metrics,
    champion: Metrics,
    primary: str,
    units: Sequence[str],
    options: PromotionOptions,
) -> dict[str, Any]:
    """Challenger minus champion by a paired cluster bootstrap: value, low, high, p_value.

    Percentile intervals of few units are too narrow; this one is expanded to the width that
    Student's t would give (Hesterberg, "What teachers should know about the bootstrap", 2015).
    ``defined`` is the share of resamples in which the difference is a number.
    """
    confidence = expanded(options.confidence, len(set(units)))
    drawing = EvaluationOptions(
        resamples=options.resamples, confidence=confidence, seed=options.seed
    )
    drawn: dict[str, list[float]] = {CHALLENGER: [], CHAMPION: []}
    for rows in resamples(units, drawing):
        drawn[CHALLENGER].append(challenger.scores(rows)[primary])
        drawn[CHAMPION].append(champion.scores(rows)[primary])
    arrays = {name: np.array(values) for name, values in drawn.items()}
    values = {CHALLENGER: challenger.scores()[primary], CHAMPION: champion.scores()[primary]}
    defined = float(np.isfinite(arrays[CHALLENGER] - arrays[CHAMPION]).mean())
    found = paired_difference(values, arrays, CHALLENGER, CHAMPION, drawing)
    return {**found, "defined": defined}


def expanded(confidence: float, units: int) -> float:
    """The confidence at which a percentile interval of so many units has the asked one."""
    t = stats.t.ppf((1 + confidence) / 2, units - 1)
    return float(1 - 2 * stats.norm.cdf(-sqrt(units / (units - 1)) * t))


def check_gain(found: Mapping[str, Any], options: PromotionOptions) -> Check:
    """Whether the gain is what the rule asks for."""
    asked = 0.0 if options.asks == "better" else -options.margin
    rule, low = str(options.asks), found["low"]
    if isinstance(low, str) or found["defined"] < DEFINED_SHARE_MIN:
        return Check(rule, False, "the difference is undefined")
    said = f"gains {found['value']:+.4f}, interval {low:+.4f} to {found['high']:+.4f}"
    return Check(rule, low > asked, f"{said}; asked: above {asked:g}")
