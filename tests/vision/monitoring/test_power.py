"""Power: what is planted more strongly is found more often, and it is said what is found."""

import json

import numpy as np
import pytest
from monitored import drawn_batch, moved_batch
from scipy.stats import binom

from graft.vision.monitoring.drift import DRIFTED, find_drift
from graft.vision.monitoring.options import DriftOptions
from graft.vision.monitoring.power import count_false_alarms, measure_power

OPTIONS = DriftOptions(permutations=99, power_windows=10)
KNOWN = drawn_batch(240, 1)


def test_measure_power__names_the_smallest_shift_that_is_found() -> None:
    twins = {"moved": {by: moved_batch(KNOWN, by) for by in (1.5, 0.01, 0.7)}, "same": {1.0: KNOWN}}
    found = measure_power(KNOWN, twins, 30, OPTIONS, 0)
    assert [row["strength"] for row in found["table"]] == [0.01, 0.7, 1.5, 1.0]
    assert found["smallest"] == {"moved": 0.7, "same": None}
    assert found["sentences"] == [
        "In 80% of batches of 30 units these would be found: moved by 0.7; not so often: same."
    ]
    assert json.loads(json.dumps(found)) == found


def test_measure_power__cannot_tell_for_few_images() -> None:
    found = measure_power(KNOWN, {"moved": {1.0: moved_batch(KNOWN, 1.0)}}, 8, OPTIONS, 0)
    assert (found["verdict"], found["table"]) == ("cannot tell", [])


@pytest.mark.slow
def test_measure_power__holds_for_batches_that_are_drawn_anew() -> None:
    options = DriftOptions(permutations=199, power_windows=100)
    stated = measure_power(KNOWN, {"moved": {0.2: moved_batch(KNOWN, 0.2)}}, 30, options, 0)[
        "table"
    ][0]["found"]
    found = 0
    for i in range(100):
        new = moved_batch(drawn_batch(30, 100 + i), 0.2)
        found += find_drift(KNOWN, new, options, i)["verdict"] == DRIFTED
    assert abs(found / 100 - stated) < 0.2


def test_count_false_alarms__says_what_the_clean_windows_did() -> None:
    found = count_false_alarms(KNOWN, 40, 20, OPTIONS, 0)
    assert found["alarms"] <= binom.ppf(0.999, 20, 0.01)
    assert found["sentences"][0].startswith("Of 20 clean windows of 40 units ")
    assert count_false_alarms(KNOWN, 8, 20, OPTIONS, 0)["share"] is None


def test_count_false_alarms__windows_hold_whole_units() -> None:
    alike = drawn_batch(240, 3, units=24, alike=3.0)
    found = count_false_alarms(alike, 6, 20, OPTIONS, 0)
    assert found["alarms"] <= binom.ppf(0.999, 20, 0.01)
    assert np.unique(np.array(alike.units)).size == 24
