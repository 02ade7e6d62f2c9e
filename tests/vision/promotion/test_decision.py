"""Only the truly better becomes champion, and each refusal names its rule."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from judged_models import CLASSES, NAMES, RULE, TASK, chances, model, rules_of, truths

from graft.vision.promotion.decision import decide
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check, Judged
from graft.vision.task import ClassTable

IMAGES = 120
TRUTH = truths(IMAGES)
WEAK = model("m/1", chances(IMAGES, 0.6, seed=1), TRUTH)
STRONG = model("m/2", [True] * IMAGES, TRUTH)


def test_decide__promotes_the_truly_better() -> None:
    decision = decide(TASK, STRONG, WEAK, RULE)
    assert decision["promote"] and rules_of(decision) == []
    assert decision["difference"]["low"] > 0.2
    assert decision["rule"]["asks"] == "better"
    json.dumps(decision, allow_nan=False)


def test_decide__refuses_the_worse_and_the_equal() -> None:
    assert rules_of(decide(TASK, replace(WEAK, name="m/3"), STRONG, RULE)) != []
    twin = model("m/3", chances(IMAGES, 0.6, seed=1), TRUTH)
    assert rules_of(decide(TASK, twin, WEAK, RULE)) == ["better"]


@pytest.mark.parametrize("per_unit", [1, 4, 12])
def test_decide__promotes_at_most_five_of_a_hundred_that_are_better_by_noise(per_unit: int) -> None:
    promoted = 0
    for seed in range(100):
        one, other = (
            model(name, chances(IMAGES, 0.8, 2 * seed + i, per_unit), TRUTH, per_unit)
            for i, name in enumerate(("m/1", "m/2"))
        )
        promoted += "better" not in rules_of(decide(TASK, one, other, RULE))
    assert promoted <= 5


def test_decide__lets_the_equal_pass_where_the_rule_asks_for_no_worse() -> None:
    rule = RULE.model_copy(update={"asks": "not_worse", "margin": 0.01})
    twin = model("m/3", chances(IMAGES, 0.6, seed=1), TRUTH)
    assert decide(TASK, twin, WEAK, rule)["promote"]
    worse = model("m/4", [*chances(IMAGES, 0.6, seed=1)[:80], *[False] * 40], TRUTH)
    assert "not_worse" in rules_of(decide(TASK, worse, WEAK, rule))


def test_decide__refuses_a_collapsed_class_though_the_whole_is_better() -> None:
    right = [name != "wasp" or i % 8 == 0 for i, name in enumerate(TRUTH)]
    weak = model("m/1", [name == "wasp" for name in TRUTH], TRUTH)
    decision = decide(TASK, model("m/2", right, TRUTH), weak, RULE)
    assert decision["difference"]["low"] > 0
    assert rules_of(decision) == ["class_floor", "class_loss"]
    assert "wasp" in decision["reason"]


def test_decide__refuses_a_forgotten_class() -> None:
    right = [name != "wasp" for name in TRUTH]
    lenient = RULE.model_copy(update={"class_floor": 0.0, "class_loss_max": 1.0})
    decision = decide(TASK, model("m/2", right, TRUTH), WEAK, lenient)
    assert "forgotten" in rules_of(decision) and "wasp" in decision["reason"]
    smaller = replace(STRONG, classes=ClassTable(names=NAMES[:2]))
    assert rules_of(decide(TASK, smaller, WEAK, RULE)) == ["forgotten"]


def test_decide__compares_where_a_class_is_new() -> None:
    rows = WEAK.predictions.drop(columns="prob_wasp")
    narrow = replace(WEAK, classes=ClassTable(names=NAMES[:2]), predictions=rows)
    assert decide(TASK, STRONG, narrow, RULE)["promote"]


@pytest.mark.parametrize("rule", [None, PromotionOptions.parse({}, "here")])
def test_decide__promotes_nothing_without_a_rule(rule: PromotionOptions | None) -> None:
    from graft.vision.promotion.options import rule_of

    stated = rule_of(rule and rule.model_dump(), "here")
    assert rules_of(decide(TASK, STRONG, None, stated)) == ["rule"]


def test_decide__refuses_what_is_no_number() -> None:
    broken = STRONG.predictions.assign(prob_ant=np.nan)
    decision = decide(TASK, replace(STRONG, predictions=broken), WEAK, RULE)
    assert "defined" in rules_of(decision)

    class Silent:
        def __init__(self, table: pd.DataFrame, classes: ClassTable) -> None:
            self._plain = TASK.new_metrics(table, classes)

        def scores(self, rows: object = None) -> dict[str, float]:
            return {"accuracy": float("nan")}

        def per_class(self) -> pd.DataFrame:
            return self._plain.per_class()

    silent = replace(TASK, new_metrics=Silent)  # type: ignore[arg-type]
    decision = decide(silent, STRONG, WEAK, RULE)
    assert {"defined", "better"} <= set(rules_of(decision))
    json.dumps(decision, allow_nan=False)


@pytest.mark.parametrize("what", ["task", "test_set", "preprocessing", "code"])
def test_decide__compares_no_unlike_scores(what: str) -> None:
    other = replace(WEAK, bound={**WEAK.bound, what: "another"})
    decision = decide(TASK, STRONG, other, RULE)
    assert rules_of(decision) == [what] and "difference" not in decision
    unknown = replace(STRONG, bound={k: v for k, v in STRONG.bound.items() if k != what})
    assert what in rules_of(decide(TASK, unknown, replace(WEAK, bound=unknown.bound), RULE))


def test_decide__compares_what_the_rule_lets_differ() -> None:
    other = replace(WEAK, bound={**WEAK.bound, "code": "another"})
    rule = RULE.model_copy(update={"may_differ": ("code",)})
    assert decide(TASK, STRONG, other, rule)["promote"]


def test_decide__names_a_changed_test_label() -> None:
    relabelled = WEAK.predictions.assign(truth=["bee", *TRUTH[1:]])
    decision = decide(TASK, STRONG, replace(WEAK, predictions=relabelled), RULE)
    assert rules_of(decision) == ["test_images"] and "test/0.png" in decision["reason"]


def leaking(judged: Judged, **changed: str) -> Judged:
    rows = judged.split_manifest
    assert rows is not None
    rows = rows.copy()
    for column, value in changed.items():
        rows.loc[rows["id"] == "train/5.png", column] = value
    return replace(judged, split_manifest=rows)


@pytest.mark.parametrize("column, value", [("sha256", "test-7"), ("cluster", "test/7.png")])
def test_decide__names_a_test_image_that_either_one_learned_from(column: str, value: str) -> None:
    said = "test/7.png" if column == "sha256" else "test/7.png (a near-copy)"
    changed = {column: value}
    for one, other in ((leaking(STRONG, **changed), WEAK), (STRONG, leaking(WEAK, **changed))):
        decision = decide(TASK, one, other, RULE)
        assert rules_of(decision) == ["leak"]
        assert said in decision["reason"]


def test_decide__finds_a_near_copy_that_only_the_other_manifest_knows() -> None:
    """The champion learned from what the challenger's manifest calls a copy of a test image."""
    knowing = leaking(STRONG, cluster="test/7.png", split="test", sha256="copy")
    learned = leaking(WEAK, sha256="copy")
    assert (
        "m/1 was trained on test images: test/7.png (a near-copy)"
        in decide(TASK, knowing, learned, RULE)["reason"]
    )


def test_decide__refuses_where_the_training_set_is_not_recorded() -> None:
    assert rules_of(decide(TASK, replace(STRONG, split_manifest=None), WEAK, RULE)) == ["leak"]


def test_decide__asks_floors_and_outside_checks_of_the_first_champion() -> None:
    loads = Check("load", True, "loads")
    assert decide(TASK, STRONG, None, RULE, [loads])["promote"]
    hopeless = model("m/1", [False] * IMAGES, TRUTH)
    assert rules_of(decide(TASK, hopeless, None, RULE, [loads])) == ["class_floor"]
    assert rules_of(decide(TASK, STRONG, None, RULE, [replace(loads, held=False)])) == ["load"]


def test_decide__judges_slices() -> None:
    rule = RULE.model_copy(update={"slices": {"image": r"/(\d)\d?\.png"}, "slice_floor": 0.5})
    ids = WEAK.predictions["id"]
    right = [not name.startswith("test/4") for name in ids]
    decision = decide(TASK, model("m/2", right, TRUTH), WEAK, rule)
    assert {"slice_floor", "slice_loss"} <= set(rules_of(decision))
    assert "image 4" in decision["reason"]


def test_decide__tells_nothing_from_few_units() -> None:
    rights = {"m/2": [True] * 20, "m/1": [False, True] * 10}
    few = [model(name, right, TRUTH[:20], per_unit=5) for name, right in rights.items()]
    assert rules_of(decide(TASK, few[0], few[1], RULE)) == ["units"]


def test_decide__refuses_the_champion_itself() -> None:
    same = replace(STRONG, name="m/9")
    assert "same_model" in rules_of(decide(TASK, same, STRONG, RULE))
    assert STRONG.classes == CLASSES
