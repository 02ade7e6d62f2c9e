"""Intervals: seeded, around their value, and wider where images belong together."""

import numpy as np
import pytest
from marks import Marks

from graft.vision.evaluation.bootstrap import bootstrap_scores, interval, resamples
from graft.vision.evaluation.options import EvaluationOptions

OPTIONS = EvaluationOptions(resamples=400, seed=3)
ALONE = [f"u{i}" for i in range(60)]
TOGETHER = [f"u{i // 6}" for i in range(60)]


def correlated(seed: int = 0) -> Marks:
    """60 images in ten units of six; all images of a unit are right, or none is."""
    right = np.random.default_rng(seed).random(10) < 0.7
    return Marks(np.repeat(right, 6))


def width(score: dict[str, float | str]) -> float:
    return float(score["high"]) - float(score["low"])


@pytest.mark.parametrize("units", [ALONE, TOGETHER])
def test_bootstrap__intervals_hold_the_value(units: list[str]) -> None:
    score = bootstrap_scores(correlated(), units, OPTIONS)["accuracy"]
    assert 0 <= float(score["low"]) <= float(score["value"]) <= float(score["high"]) <= 1


def test_bootstrap__intervals_depend_on_the_seed_alone() -> None:
    one, same, other = (
        bootstrap_scores(correlated(), ALONE, OPTIONS.model_copy(update={"seed": seed}))
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_bootstrap__units_that_go_together_widen_the_interval() -> None:
    plain = bootstrap_scores(correlated(), ALONE, OPTIONS)["accuracy"]
    clustered = bootstrap_scores(correlated(), TOGETHER, OPTIONS)["accuracy"]
    assert width(clustered) > 1.5 * width(plain)


def test_bootstrap__covers_the_truth_about_as_often_as_it_says() -> None:
    options = EvaluationOptions(resamples=200)
    units = [f"u{i}" for i in range(80)]
    covered = 0
    for seed in range(100):
        marks = Marks(np.random.default_rng(seed).random(80) < 0.8)
        score = bootstrap_scores(marks, units, options)["accuracy"]
        covered += float(score["low"]) <= 0.8 <= float(score["high"])
    assert covered >= 87  # below the 0.1 % quantile of a binomial with 100 draws at 95 %


def test_resamples__hold_whole_units_only() -> None:
    for rows in resamples(TOGETHER, EvaluationOptions(resamples=100)):
        assert len(rows) == 60
        counts = np.bincount(rows, minlength=60).reshape(10, 6)
        assert (counts == counts[:, :1]).all()


def test_resamples__a_large_unit_is_never_cut() -> None:
    units = ["large"] * 50 + ["small"] * 2
    sizes = {len(rows) for rows in resamples(units, EvaluationOptions(resamples=100))}
    assert sizes == {100, 52, 4}


def test_bootstrap__says_not_available_where_a_score_is_undefined() -> None:
    scores = bootstrap_scores(correlated(), ALONE, OPTIONS)
    assert scores["undefined"] == {"value": "n/a", "low": "n/a", "high": "n/a"}


def test_interval__leaves_out_resamples_where_the_score_is_undefined() -> None:
    found = interval(0.5, [0.4, float("nan"), 0.6], OPTIONS)
    assert found["value"] == 0.5
    assert 0.4 <= float(found["low"]) < float(found["high"]) <= 0.6


def test_interval__keeps_a_value_whose_resamples_are_all_undefined() -> None:
    assert interval(0.5, [float("nan")], OPTIONS) == {"value": 0.5, "low": "n/a", "high": "n/a"}
