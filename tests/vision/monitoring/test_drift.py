"""Drift: clean batches rarely alarm, shifts are found, and too few images give no verdict."""

import json
import time

import numpy as np
import pytest
from monitored import drawn_batch, shifted_batch
from scipy.stats import binom, ks_2samp

from graft.vision.errors import DataError
from graft.vision.monitoring.batch import Batch
from graft.vision.monitoring.drift import CANNOT_TELL, CLEAN, DRIFTED, find_drift
from graft.vision.monitoring.options import DriftOptions

QUICK = DriftOptions(permutations=199)


def window_of(batch: Batch, units: int, seed: int) -> tuple[Batch, Batch]:
    """The rest, and so many whole units of it."""
    names = np.unique(np.array(batch.units))
    chosen = np.random.default_rng(seed).choice(names, units, replace=False)
    inside = np.isin(np.array(batch.units), chosen)
    return batch.rows(np.flatnonzero(~inside)), batch.rows(np.flatnonzero(inside))


def alarms_of(batch: Batch, units: int, windows: int, options: DriftOptions) -> int:
    found = [find_drift(*window_of(batch, units, i), options, i) for i in range(windows)]
    return sum(record["verdict"] == DRIFTED for record in found)


@pytest.mark.parametrize(("units", "alike", "window"), [(None, 0.0, 40), (30, 2.0, 8)])
def test_find_drift__clean_windows_keep_the_stated_rate(
    units: int | None, alike: float, window: int
) -> None:
    options = DriftOptions(permutations=99, false_alarm_rate=0.05)
    known = drawn_batch(240, 1, units=units, alike=alike)
    assert alarms_of(known, window, 60, options) <= binom.ppf(0.999, 60, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "alike", "window"), [(None, 0.0, 60), (30, 2.0, 8)])
def test_find_drift__200_clean_windows_keep_a_rate_of_1_percent(
    units: int | None, alike: float, window: int
) -> None:
    known = drawn_batch(600, 2, units=units, alike=alike)
    assert alarms_of(known, window, 200, DriftOptions()) <= binom.ppf(0.999, 200, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("known_units", "new_units"), [(10, 5), (20, 8), (8, 20)])
def test_find_drift__new_draws_of_few_units_keep_the_rate(known_units: int, new_units: int) -> None:
    """Not windows of one set: known and new images are both drawn anew each time."""
    alarms = 0
    for i in range(200):
        known = drawn_batch(6 * known_units, 2 * i, units=known_units, alike=2.0)
        new = drawn_batch(6 * new_units, 2 * i + 1, units=new_units, alike=2.0)
        alarms += find_drift(known, new, QUICK, i)["verdict"] == DRIFTED
    assert alarms <= binom.ppf(0.999, 200, 0.01)


def test_find_drift__tests_of_each_component_alarm_where_this_does_not() -> None:
    known = drawn_batch(400, 3, units=40, alike=1.5)
    naive = 0
    for i in range(10):
        others, window = window_of(known, 8, i)
        columns = zip(others.embeddings.T, window.embeddings.T, strict=True)
        naive += min(ks_2samp(one, other).pvalue for one, other in columns) < 0.01
    assert naive >= 9
    assert alarms_of(known, 8, 10, QUICK) <= 1


@pytest.mark.parametrize(
    ("kind", "strength"), [("mean", 0.3), ("scale", 1.3), ("scale", 0.75), ("cluster", 0.2)]
)
def test_find_drift__finds_a_shift_of(kind: str, strength: float) -> None:
    known = drawn_batch(400, 4)
    found = find_drift(known, shifted_batch(80, 5, kind, strength), QUICK, 0)
    assert found["verdict"] == DRIFTED
    assert "do not look like the known ones" in found["sentences"][0]


def test_find_drift__finds_another_mix_of_what_was_predicted() -> None:
    import pandas as pd

    known, new = drawn_batch(400, 6), drawn_batch(80, 7)
    column = "class ant"
    even = pd.DataFrame({column: np.arange(400) % 2.0})
    uneven = pd.DataFrame({column: (np.arange(80) % 5 > 0) * 1.0})
    assert find_drift(known, new, QUICK, 0)["verdict"] == CLEAN
    known, new = (
        Batch(known.embeddings, known.units, even),
        Batch(new.embeddings, new.units, uneven),
    )
    assert find_drift(known, new, QUICK, 0)["verdict"] == DRIFTED


@pytest.mark.parametrize(
    ("known", "new", "options", "reason"),
    [
        (drawn_batch(400, 1), shifted_batch(8, 2, "mean", 5.0), QUICK, "8 new images, and 20"),
        (drawn_batch(12, 1), shifted_batch(80, 2, "mean", 5.0), QUICK, "12 known images, and 20"),
        (drawn_batch(400, 1), drawn_batch(80, 2, units=3), QUICK, "3 units"),
        (
            drawn_batch(400, 1),
            drawn_batch(80, 2),
            DriftOptions(permutations=99, false_alarm_rate=0.001),
            "no p-value is below 0.01",
        ),
        (
            drawn_batch(100, 1, units=5),
            drawn_batch(100, 2, units=5),
            DriftOptions(false_alarm_rate=0.002),
            "252 different windows",
        ),
    ],
)
def test_find_drift__too_little_gives_no_verdict(
    known: Batch, new: Batch, options: DriftOptions, reason: str
) -> None:
    found = find_drift(known, new, options, 0)
    assert (found["verdict"], found["p_value"]) == (CANNOT_TELL, None)
    assert reason in found["sentences"][0]


def test_find_drift__images_of_few_units_count_as_the_few_they_are() -> None:
    known, new = (drawn_batch(200, seed, units=10, alike=2.0) for seed in (8, 9))
    alone = [Batch(side.embeddings, [str(i) for i in range(len(side))]) for side in (known, new)]
    assert find_drift(*alone, QUICK, 0)["verdict"] == DRIFTED
    assert find_drift(known, new, QUICK, 0)["verdict"] == CLEAN


def test_find_drift__is_the_same_by_seed_and_plain_json() -> None:
    known, new = drawn_batch(200, 10), shifted_batch(40, 11, "mean", 0.15)
    one, other = (find_drift(known, new, QUICK, 3) for _ in range(2))
    assert one == other
    assert json.loads(json.dumps(one, allow_nan=False)) == one


def test_find_drift__equal_images_on_both_sides_are_no_drift() -> None:
    flat = Batch(np.zeros((60, 16), np.float32), [str(i) for i in range(60)])
    assert find_drift(flat, flat, QUICK, 0)["verdict"] == CLEAN


def test_find_drift__refuses_embeddings_of_another_backbone() -> None:
    other = Batch(np.zeros((40, 16), np.float32), [str(i) for i in range(40)])
    with pytest.raises(DataError, match="different backbones; found: 64 and 16"):
        find_drift(drawn_batch(100, 1), other, QUICK, 0)


def test_batch__refuses_what_is_not_finite() -> None:
    with pytest.raises(DataError, match="a row of finite numbers"):
        Batch(np.full((2, 3), np.nan), ["a", "b"])
    with pytest.raises(DataError, match="3 units"):
        Batch(np.zeros((2, 3)), ["a", "b", "c"])


def test_find_drift__ten_thousand_known_images_take_seconds() -> None:
    rng = np.random.default_rng(0)
    known = rng.standard_normal((10_000, 1280), np.float32)
    new = rng.standard_normal((500, 1280), np.float32)
    sides = [Batch(side, [str(i) for i in range(len(side))]) for side in (known, new)]
    began = time.process_time()
    find_drift(*sides, DriftOptions(), 0)
    assert time.process_time() - began < 10
