"""The rule over the table of tasks: floors by recall, AP and IoU of each class on drawn scenes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from judged_models import rules_of, split
from task_grounds import CLASSES, SCENES, VOICES, Scene, lay_scenes

from graft.vision.contenders.ground import Ground
from graft.vision.promotion.decision import decide
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Judged
from graft.vision.task import ClassTable
from graft.vision.tasks import TASKS

SCORES = {"classification": "recall", "detection": "ap", "segmentation": "iou"}
WITHOUT_PONDS = (
    Scene([(8, 8, 40, 40)], [1]),
    Scene([(64, 20, 120, 60), (10, 4, 34, 30)], [1, 1]),
    Scene([], []),
    Scene([(40, 30, 90, 58)], [1]),
)


def rule(task: str, **changed: Any) -> PromotionOptions:
    asked = PromotionOptions(
        asks="not_worse", resamples=100, class_score=SCORES[task], class_floor=0.5,
        class_loss_max=0.3, class_images_min=1,
    )  # fmt: skip
    return asked.model_copy(update=changed)


def test_scores__are_named_for_each_task_of_the_table() -> None:
    assert set(SCORES) == set(TASKS) == set(VOICES)


@pytest.fixture(params=TASKS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    return lay_scenes(request.param, tmp_path / "pixels", SCENES * 3)


def judged(ground: Ground, name: str, shift: Any = 0, classes: Iterable[str] = CLASSES) -> Judged:
    """A model that says the truth, each class moved on by ``shift``."""
    outputs = VOICES[ground.task.name].outputs(ground, shift)
    return _judged(ground, name, outputs, classes)


def _judged(
    ground: Ground, name: str, outputs: torch.Tensor, classes: Iterable[str] = CLASSES
) -> Judged:
    rows = ground.rows
    said = ground.task.predict(outputs, ground.classes, 1.0, ground.frames(rows))
    known = rows[["id", "sha256"]].reset_index(drop=True)
    known = known.assign(unit=known["id"], truth=ground.words(rows))
    table = pd.concat([known, said], axis=1)
    bound = {"task": ground.task.name, "test_set": "t", "preprocessing": "p", "code": "c"}
    others = split(list(known["id"]))
    others.loc[others["split"] == "test", "sha256"] = list(known["sha256"])
    return Judged(
        name, ClassTable(names=tuple(classes)), table, {**bound, "identity": name}, others
    )


def without(ground: Ground, kind: int) -> torch.Tensor:
    """The truth, but for one class, in whose place the next one is said."""
    right = VOICES[ground.task.name].outputs(ground, 0)
    wrong = VOICES[ground.task.name].outputs(ground, 1)
    if ground.task.name == "detection":
        return torch.where(right[..., 5:] == kind, wrong, right)
    return torch.where(right.argmax(1, keepdim=True) == kind, wrong, right)


def test_decide__promotes_what_is_right_over_what_is_wrong(ground: Ground) -> None:
    right, wrong = judged(ground, "m/2"), judged(ground, "m/1", 1)
    decision = decide(ground.task, right, wrong, rule(ground.task.name, asks="better"))
    assert decision["promote"], decision["reason"]
    assert decision["scores"]["challenger"] == pytest.approx(1.0)
    refused = decide(ground.task, wrong, right, rule(ground.task.name))
    assert {"class_floor", "forgotten", "not_worse"} <= set(rules_of(refused))


@pytest.mark.parametrize("kind", [1, 2])
def test_decide__names_a_class_that_the_champion_knew_and_this_one_forgot(
    ground: Ground, kind: int
) -> None:
    lenient = rule(ground.task.name, margin=1.0, class_floor=0.0, class_loss_max=1.0)
    challenger = _judged(ground, "m/2", without(ground, kind))
    decision = decide(ground.task, challenger, judged(ground, "m/1"), lenient)
    assert rules_of(decision) == ["forgotten"]
    assert f"the champion knew {CLASSES[kind]}, this one does not" in decision["reason"]
    strict = decide(
        ground.task, challenger, judged(ground, "m/1"), rule(ground.task.name, margin=1.0)
    )
    assert {"class_floor", "class_loss", "forgotten"} <= set(rules_of(strict))
    assert f"{CLASSES[kind]}: 0.000" in strict["reason"]


def test_decide__names_a_class_that_the_table_of_the_challenger_lacks(ground: Ground) -> None:
    smaller = judged(ground, "m/2", classes=CLASSES[:2])
    decision = decide(ground.task, smaller, judged(ground, "m/1"), rule(ground.task.name))
    assert rules_of(decision) == ["forgotten"] and "pond" in decision["reason"]


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_decide__passes_over_a_class_that_no_test_image_has(task: str, tmp_path: Path) -> None:
    ground = lay_scenes(task, tmp_path / "pixels", WITHOUT_PONDS * 3)
    right, asked = judged(ground, "m/2"), rule(task, class_floor=0.99)
    for champion in (None, judged(ground, "m/1")):
        decision = decide(ground.task, right, champion, asked)
        assert decision["promote"], decision["reason"]
        assert set(decision["classes"]["pond"].values()) == {"n/a"}
    held = {check["rule"]: check["said"] for check in decision["checks"]}
    judged_classes = {"detection": 1, "segmentation": 2}[task]  # the ground is no object
    assert f"{SCORES[task]} of {judged_classes} classes" in held["class_floor"]


def test_decide__judges_only_classes_with_images_enough(ground: Ground) -> None:
    asked = rule(ground.task.name, margin=1.0, class_loss_max=1.0, class_images_min=100)
    wrong = judged(ground, "m/2", 1)
    decision = decide(ground.task, wrong, None, asked)
    assert decision["promote"] and f"{SCORES[ground.task.name]} of 0 classes" in str(decision)
