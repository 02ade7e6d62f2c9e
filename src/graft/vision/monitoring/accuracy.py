"""How good the champion probably is on images that nobody has annotated.

Two estimates from calibrated confidences: difference of confidences (Guillory et al., 2021), and
average thresholded confidence (Garg et al., 2022). Both take for granted that confidence means on
the new images what it meant on the known ones; under drift it usually claims too much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.vision.errors import DataError
from graft.vision.monitoring.drift import CLEAN, DRIFTED
from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.monitoring.windows import number_units
from graft.vision.records import Array


@dataclass(frozen=True)
class Confidences:
    """What the champion said of one side's images.

    Attributes:
        confidence: (N,) in 0..1, calibrated.
        units: (N,) as in `Batch`.
        right: (N,) in 0..1, how right it was; None where nobody knows.
    """

    confidence: Array
    units: Sequence[str]
    right: Array | None = None

    def __post_init__(self) -> None:
        parts = [self.confidence, *([] if self.right is None else [self.right])]
        fits = all(len(part) == len(self.units) for part in parts) and len(self.units) > 0
        if not fits or not all(((part >= 0) & (part <= 1)).all() for part in parts):
            raise DataError(
                "confidences cannot be used to estimate how good the champion is",
                found=f"{len(self.confidence)} confidences for {len(self.units)} units",
                allowed="one in 0..1 for each image, at least one, and likewise what was right",
                mend="leave out images whose score is undefined",
            )


def estimate_accuracy(
    known: Confidences, new: Confidences, drift_verdict: str, options: MonitoringOptions
) -> dict[str, Any]:
    """Estimate the share of new images that the champion gets right, without their truth.

    Args:
        known: held-out images that the champion did not learn from, with what was right.
        drift_verdict: of `find_drift` on the same new images.

    Returns:
        ``known`` (score there), ``estimates`` by method and the ``average_confidence``, each with
        ``value``, ``low``, ``high``; ``trusted``; ``reasons`` against; ``sentences``.

    Raises:
        DataError: when it is not known what was right on the known images.
    """
    right = known.right
    if right is None:
        raise DataError(
            "the champion's accuracy cannot be estimated",
            found="known images without what was right on them",
            allowed="held-out images with their truth",
        )
    estimates = _estimates(known.confidence, right, known.units, new, options)
    reasons = list(_doubts(known, new, drift_verdict, estimates, options))
    return {
        "known": float(right.mean()),
        "estimates": estimates,
        "trusted": not reasons,
        "reasons": reasons,
        "sentences": _sentences(float(right.mean()), estimates, reasons),
    }


def difference_of_confidences(known: Array, right: Array, new: Array) -> float:
    """Score on the known images, less what confidence has fallen since."""
    return float(np.clip(right.mean() + new.mean() - known.mean(), 0, 1))


def thresholded_confidence(known: Array, right: Array, new: Array) -> float:
    """Share of new confidences above the threshold that as large a share of the known exceeds as
    was right; half of those that equal it."""
    threshold = np.quantile(known, 1 - right.mean())
    share = [float((side > threshold).mean()) for side in (known, new)]
    equal = [float((side == threshold).mean()) for side in (known, new)]
    # Many images may share one confidence (1.0); the known ones tell which part of them counts.
    part = np.clip((right.mean() - share[0]) / max(equal[0], 1e-9), 0, 1)
    return float(share[1] + part * equal[1])


METHODS: dict[str, Callable[[Array, Array, Array], float]] = {
    "difference_of_confidences": difference_of_confidences,
    "thresholded_confidence": thresholded_confidence,
    "average_confidence": lambda known, right, new: float(new.mean()),
}


def _estimates(
    known: Array, right: Array, units: Sequence[str], new: Confidences, options: MonitoringOptions
) -> dict[str, dict[str, float]]:
    """Percentile intervals by drawing whole units, of either side, with replacement."""
    rng = np.random.default_rng(options.seed)
    draws = [_draws(units, rng, options.resamples), _draws(new.units, rng, options.resamples)]
    tail = (1 - options.confidence) / 2
    found = {}
    for name, method in METHODS.items():
        drawn = [
            method(known[ours], right[ours], new.confidence[theirs])
            for ours, theirs in zip(*draws, strict=True)
        ]
        low, high = np.quantile(drawn, [tail, 1 - tail])
        value = method(known, right, new.confidence)
        found[name] = {"value": value, "low": float(low), "high": float(high)}
    return found


def _draws(names: Sequence[str], rng: np.random.Generator, times: int) -> list[Array]:
    units = number_units(names)
    order = np.argsort(units.number, kind="stable")
    members = np.split(order, np.cumsum(units.sizes)[:-1])
    drawn = rng.integers(units.count, size=(times, units.count))
    return [np.concatenate([members[i] for i in chosen]) for chosen in drawn]


def _doubts(
    known: Confidences,
    new: Confidences,
    drift_verdict: str,
    estimates: dict[str, dict[str, float]],
    options: MonitoringOptions,
) -> list[str]:
    said = []
    if drift_verdict == DRIFTED:
        said.append("the images have drifted, and confidence then claims too much")
    elif drift_verdict != CLEAN:
        said.append("whether the images have drifted cannot be told")
    for side, images in (("known", known), ("new", new)):
        if len(images.units) < options.drift.images_min:
            said.append(f"there are {len(images.units)} {side} images only")
        elif len(set(images.units)) < options.drift.units_min:
            said.append(f"the {side} images are of {len(set(images.units))} units only")
    one, other = estimates["difference_of_confidences"], estimates["thresholded_confidence"]
    if one["low"] > other["high"] or other["low"] > one["high"]:
        said.append("the two methods disagree")
    return said


def _sentences(
    known: float, estimates: dict[str, dict[str, float]], reasons: list[str]
) -> list[str]:
    one, other = estimates["thresholded_confidence"], estimates["difference_of_confidences"]
    said = (
        f"Without truth, the champion seems right on {one['value']:.1%} of the new images "
        f"(interval {one['low']:.1%} to {one['high']:.1%}; by difference of confidences "
        f"{other['value']:.1%}), after {known:.1%} on the known ones."
    )
    if not reasons:
        return [said]
    return [said, f"This estimate cannot be trusted: {'; '.join(reasons)}."]
