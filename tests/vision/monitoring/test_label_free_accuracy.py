"""Label-free accuracy: near the truth where confidence means the same, distrusted under drift."""

import json

import numpy as np
import pytest

from graft.vision.errors import DataError
from graft.vision.monitoring.accuracy import (
    Confidences,
    difference_of_confidences,
    estimate_accuracy,
    thresholded_confidence,
)
from graft.vision.monitoring.drift import CANNOT_TELL, CLEAN, DRIFTED
from graft.vision.monitoring.options import MonitoringOptions

OPTIONS = MonitoringOptions(resamples=200)


def answers(images: int, seed: int, *, hard: float = 0.3, units: int | None = None) -> Confidences:
    """Calibrated: what is said with confidence p is right with chance p; ``hard`` images are
    unsure."""
    rng = np.random.default_rng(seed)
    unsure = rng.random(images) < hard
    confidence = np.where(unsure, rng.uniform(0.3, 0.7, images), rng.uniform(0.85, 1, images))
    right = (rng.random(images) < confidence).astype(float)
    return Confidences(confidence, [f"u{i % (units or images)}" for i in range(images)], right)


def unseen(said: Confidences) -> Confidences:
    return Confidences(said.confidence, said.units)


@pytest.mark.parametrize("hard", [0.1, 0.3, 0.7])
def test_estimate_accuracy__is_near_the_truth_of_harder_and_easier_images(hard: float) -> None:
    known, new = answers(800, 1), answers(800, 2, hard=hard)
    found = estimate_accuracy(known, unseen(new), CLEAN, OPTIONS)
    assert new.right is not None
    for method in ("difference_of_confidences", "average_confidence"):
        assert found["estimates"][method]["value"] == pytest.approx(new.right.mean(), abs=0.05)
    assert found["estimates"]["thresholded_confidence"]["value"] == pytest.approx(
        new.right.mean(), abs=0.12
    )


def test_estimate_accuracy__intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(40):
        known, new = answers(200, 2 * seed), answers(200, 2 * seed + 1)
        found = estimate_accuracy(known, unseen(new), CLEAN, OPTIONS)
        of = found["estimates"]["difference_of_confidences"]
        held += of["low"] <= 0.3 * 0.5 + 0.7 * 0.925 <= of["high"]
    assert held >= 34  # 38 expected


def test_estimate_accuracy__images_of_few_units_make_a_wider_interval() -> None:
    def width(units: int | None) -> float:
        known, new = answers(200, 1), answers(200, 2, units=units)
        ordered = np.sort(new.confidence)
        alike = Confidences(ordered, [f"u{i * (units or 200) // 200}" for i in range(200)])
        found = estimate_accuracy(known, alike, CLEAN, OPTIONS)["estimates"]
        return float(found["average_confidence"]["high"] - found["average_confidence"]["low"])

    assert width(8) > 2 * width(None)


@pytest.mark.parametrize(
    ("verdict", "images", "reason"),
    [
        (DRIFTED, 200, "confidence then claims too much"),
        (CANNOT_TELL, 200, "cannot be told"),
        (CLEAN, 8, "8 new images only"),
    ],
)
def test_estimate_accuracy__says_when_it_cannot_be_trusted(
    verdict: str, images: int, reason: str
) -> None:
    found = estimate_accuracy(answers(200, 1), unseen(answers(images, 2)), verdict, OPTIONS)
    assert not found["trusted"]
    assert reason in found["sentences"][1]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_estimate_accuracy__is_trusted_on_clean_images_and_the_same_by_seed() -> None:
    one, other = (
        estimate_accuracy(answers(200, 1), unseen(answers(200, 2)), CLEAN, OPTIONS)
        for _ in range(2)
    )
    assert one == other
    assert one["trusted"]
    assert len(one["sentences"]) == 1


def test_estimate_accuracy__methods_that_disagree_are_not_trusted() -> None:
    known = answers(400, 1)
    # All a little below the threshold: their mean says much, their share above it nothing.
    new = Confidences(np.full(400, 0.45), [f"u{i}" for i in range(400)])
    found = estimate_accuracy(known, new, CLEAN, OPTIONS)
    assert found["reasons"] == ["the two methods disagree"]


def test_methods__give_the_table_of_a_hand() -> None:
    known, right = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    assert difference_of_confidences(known, right, np.array([0.7, 0.5])) == pytest.approx(0.6)
    # Half was right, so the threshold is the median, 0.5.
    assert thresholded_confidence(known, right, np.array([0.7, 0.4, 0.3])) == pytest.approx(1 / 3)
    # All are equally sure: as large a part as was right counts.
    sure = np.ones(4)
    assert thresholded_confidence(sure, np.array([1.0, 1, 1, 0]), sure) == pytest.approx(0.75)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_methods__of_a_champion_that_is_always_wrong_or_right(right: float) -> None:
    known = np.linspace(0.1, 0.9, 9)
    found = thresholded_confidence(known, np.full(9, right), known)
    assert found == pytest.approx(right)


def test_confidences__refuse_what_lies_outside_0_and_1() -> None:
    with pytest.raises(DataError, match="allowed: one in"):
        Confidences(np.array([1.2]), ["a"])
    with pytest.raises(DataError, match="without what was right"):
        estimate_accuracy(unseen(answers(30, 1)), unseen(answers(30, 2)), CLEAN, OPTIONS)
