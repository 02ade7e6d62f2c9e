"""A fallen score: told when it is there, and not when there is too little to tell it by."""

import numpy as np
import pandas as pd
import pytest

from graft.vision.monitoring.fall import find_fall
from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task

TASK = choose_task({"name": "classification"})[0]
CLASSES = ClassTable(names=("ant", "bee"))
OPTIONS = RetrainingOptions(monitoring=MonitoringOptions(resamples=300))


def predictions(images: int, right: float, seed: int, per_unit: int = 1) -> pd.DataFrame:
    """Predictions of which so large a share is right; those of a unit are right together."""
    rng = np.random.default_rng(seed)
    units = np.arange(images) // per_unit
    truth = rng.integers(0, 2, images)
    good = (rng.random(units.max() + 1) < right)[units]
    said = np.where(good, truth, 1 - truth)
    names = np.array(CLASSES.names)
    return pd.DataFrame(
        {
            "unit": [f"u{unit}" for unit in units],
            "truth": names[truth],
            "prediction": names[said],
            "score": 0.9,
            "prob_ant": np.where(said == 0, 0.9, 0.1),
            "prob_bee": np.where(said == 1, 0.9, 0.1),
        }
    )


def verdict(known: pd.DataFrame, new: pd.DataFrame, options: RetrainingOptions = OPTIONS) -> str:
    return str(find_fall(TASK, CLASSES, known, new, options)["verdict"])


def test_find_fall__tells_a_great_fall_with_its_interval() -> None:
    found = find_fall(TASK, CLASSES, predictions(150, 0.95, 0), predictions(150, 0.7, 1), OPTIONS)
    assert found["verdict"] == "fallen"
    assert found["difference"]["low"] < found["difference"]["value"] < found["difference"]["high"]
    assert found["difference"]["high"] < 0
    assert found["primary"] == "accuracy"


def test_find_fall__tells_none_where_there_is_no_room_for_one() -> None:
    assert verdict(predictions(100, 1.0, 0), predictions(100, 1.0, 1)) == "not fallen"
    assert verdict(predictions(300, 0.7, 0), predictions(300, 0.95, 1)) == "not fallen"


def test_find_fall__an_interval_that_covers_both_tells_nothing() -> None:
    assert verdict(predictions(60, 0.8, 0), predictions(60, 0.8, 1)) == "cannot tell"


def test_find_fall__a_fall_below_the_least_is_none() -> None:
    known, new = predictions(150, 0.95, 0), predictions(150, 0.7, 1)
    assert verdict(known, new, OPTIONS.model_copy(update={"score_drop_min": 0.6})) == "not fallen"


@pytest.mark.parametrize(("images", "per_unit"), [(8, 1), (60, 20)])
def test_find_fall__few_images_or_units_give_no_verdict(images: int, per_unit: int) -> None:
    found = find_fall(
        TASK, CLASSES, predictions(100, 1.0, 0), predictions(images, 0.0, 1, per_unit), OPTIONS
    )
    assert found["verdict"] == "cannot tell"
    assert found["difference"] is None
    assert "needed" in found["sentences"][0]


def test_find_fall__equal_scores_are_seldom_called_fallen() -> None:
    quick = RetrainingOptions(monitoring=MonitoringOptions(resamples=100))
    falls = sum(
        verdict(predictions(80, 0.85, 2 * seed), predictions(40, 0.85, 2 * seed + 1), quick)
        == "fallen"
        for seed in range(60)
    )
    assert falls <= 5  # 1.5 expected of one-sided 2.5 %; more is a chance of 1 in 250


def test_find_fall__a_class_that_it_does_not_know_counts_as_wrong() -> None:
    new = predictions(60, 1.0, 1)
    new.loc[:39, "truth"] = "wasp"
    assert verdict(predictions(100, 1.0, 0), new) == "fallen"
