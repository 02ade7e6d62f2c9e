"""The verdict says what can be said, and no more."""

import json

import numpy as np
import pytest
from marks import contender
from scipy.stats import binom

from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.verdict import Contender, holm, judge, paired_difference

OPTIONS = EvaluationOptions(resamples=400)


def marks(images: int, wrong: range | tuple[int, ...] = ()) -> np.ndarray:
    """All right but for these images."""
    right = np.ones(images)
    right[list(wrong)] = 0
    return right


def verdict_of(*contenders: Contender, options: EvaluationOptions = OPTIONS) -> dict:
    images = len(contenders[0].metrics.right)  # type: ignore[attr-defined]
    return judge(contenders, "accuracy", [f"u{i}" for i in range(images)], options)


def test_judge__equal_models_cannot_be_told_apart_and_the_cheapest_is_chosen() -> None:
    right = marks(100, range(20))
    found = verdict_of(
        contender("fine_tuned", right, 30),
        contender("probe", right, 1),
        contender("scratch", right, 9),
    )
    assert found["chosen"] == "probe"
    assert set(found["indistinguishable"]) == {"probe", "fine_tuned", "scratch"}
    assert found["sentences"][0].startswith("Nothing can be told apart")
    assert not any(row["distinguishable_from_best"] for row in found["table"])


def test_judge__chooses_among_equals_by_what_a_kind_costs_and_not_by_the_clock() -> None:
    right = marks(200, range(10))
    slow, quick = contender("probe", right, 9), contender("scratch", right, 1)
    found = verdict_of(slow, quick)
    assert found["best"] == found["chosen"] == "probe"


def test_judge__a_truly_better_model_is_chosen_though_it_costs_more() -> None:
    found = verdict_of(
        contender("probe", marks(200, range(60)), 1),
        contender("fine_tuned", marks(200, range(10)), 30),
    )
    assert found["chosen"] == found["best"] == "fine_tuned"
    assert found["fine_tuning_pays"] == "yes"
    assert found["sentences"][1].startswith("Fine-tuning pays: it gains +0.250")


def test_judge__a_gain_surely_below_what_is_worthwhile_does_not_pay() -> None:
    found = verdict_of(
        contender("probe", marks(2000, range(100)), 1),
        contender("fine_tuned", marks(2000, range(98)), 30),
    )
    gap = next(row for row in found["table"] if row["name"] == "probe")["difference_to_best"]
    assert gap["low"] > -0.01
    assert found["fine_tuning_pays"] == "no"


def test_judge__a_model_that_surely_loses_does_not_pay() -> None:
    found = verdict_of(
        contender("probe", marks(200, range(10)), 1),
        contender("fine_tuned", marks(200, range(60)), 30),
    )
    assert found["fine_tuning_pays"] == "no"
    assert "loses" in found["sentences"][1]


def test_judge__what_few_images_cannot_show_it_cannot_tell() -> None:
    found = verdict_of(
        contender("probe", marks(30, (0, 1, 2, 3, 4)), 1),
        contender("fine_tuned", marks(30, (0, 1, 2, 9)), 30),
    )
    assert found["fine_tuning_pays"] == "cannot tell"
    assert "cannot be shown" in found["sentences"][1]
    assert found["chosen"] == "probe"


def test_judge__scratch_as_good_as_the_pre_trained_is_called_a_misfit() -> None:
    right = marks(100, range(20))
    found = verdict_of(
        contender("probe", right, 1),
        contender("fine_tuned", right, 30),
        contender("scratch", right, 20),
    )
    assert any(sentence.startswith("Misfit: ") for sentence in found["sentences"])


def test_judge__says_what_pre_training_is_worth_where_it_is() -> None:
    found = verdict_of(
        contender("probe", marks(200, range(10)), 1),
        contender("scratch", marks(200, range(90)), 20),
    )
    assert found["sentences"][-1].startswith("Pre-training is worth +0.400")


def test_judge__an_undefined_score_supports_no_claim() -> None:
    right = marks(20)
    found = judge(
        [
            contender("probe", right, 1),
            contender("fine_tuned", right, 2),
            contender("scratch", right, 3),
        ],
        "undefined",
        [f"u{i}" for i in range(20)],
        OPTIONS,
    )
    assert found["fine_tuning_pays"] == "cannot tell"
    assert found["chosen"] == "probe"
    assert found["table"][0]["value"] == "n/a"
    assert not any("Misfit" in sentence for sentence in found["sentences"])


def test_judge__correlated_images_count_as_the_few_units_they_are() -> None:
    probe, fine_tuned = marks(200, range(40)), marks(200, range(20))
    alone = verdict_of(contender("probe", probe, 1), contender("fine_tuned", fine_tuned, 30))
    together = judge(
        [contender("probe", probe, 1), contender("fine_tuned", fine_tuned, 30)],
        "accuracy",
        [f"u{i // 20}" for i in range(200)],
        OPTIONS,
    )
    assert (alone["fine_tuning_pays"], together["fine_tuning_pays"]) == ("yes", "cannot tell")
    assert (alone["units"], together["units"]) == (200, 10)


def test_judge__is_the_same_whatever_the_order_of_contenders() -> None:
    probe = contender("probe", marks(80, range(20)), 1)
    fine_tuned = contender("fine_tuned", marks(80, range(5, 22)), 9)
    scratch = contender("scratch", marks(80, range(40)), 4)
    one, other = verdict_of(probe, fine_tuned, scratch), verdict_of(scratch, fine_tuned, probe)
    assert one["sentences"] == other["sentences"]
    assert {row["name"]: row for row in one["table"]} == {
        row["name"]: row for row in other["table"]
    }


def test_judge__passes_on_what_a_model_notes_of_itself() -> None:
    found = verdict_of(contender("probe", marks(20), 1, "overfitting: it rose"))
    assert "probe: overfitting: it rose." in found["sentences"]


@pytest.mark.parametrize("primary", ["accuracy", "undefined"])
def test_judge__a_verdict_is_plain_json(primary: str) -> None:
    contenders = [contender("probe", marks(20), 1), contender("fine_tuned", marks(20, (3,)), 2)]
    found = judge(contenders, primary, [f"u{i}" for i in range(20)], OPTIONS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_judge__equal_models_raise_few_false_alarms() -> None:
    options = EvaluationOptions(resamples=200)
    told_apart = pays = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = verdict_of(
            *(
                contender(name, rng.random(120) < 0.85, minutes)
                for minutes, name in enumerate(("probe", "scratch", "fine_tuned"))
            ),
            options=options,
        )
        told_apart += len(found["indistinguishable"]) < 3
        pays += found["fine_tuning_pays"] == "yes"
    # 5 % of 100 may be told apart, and 2.5 % may seem to pay; more is a 1 in 1000 chance.
    assert told_apart <= binom.ppf(0.999, 100, 0.05)
    assert pays <= binom.ppf(0.999, 100, 0.025)


def test_holm__gives_the_table_of_a_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; none below the one before it.
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})


def test_holm__stays_a_probability() -> None:
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_paired_difference__no_resample_on_the_far_side_is_still_not_certainty() -> None:
    values, drawn = {"a": 1.0, "b": 0.0}, {"a": np.ones(400), "b": np.zeros(400)}
    found = paired_difference(values, drawn, "a", "b", OPTIONS)
    assert found["p_value"] == pytest.approx(2 / 401)
    assert paired_difference(values, drawn, "a", "a", OPTIONS)["p_value"] == 1.0
