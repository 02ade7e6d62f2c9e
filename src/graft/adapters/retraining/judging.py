"""How good the champion is on images that are new to it, with their truth and without."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from graft.adapters.promotion.clean_process import UnloadableModelError
from graft.adapters.promotion.evidence import EvidenceError
from graft.adapters.retraining.asking import ask
from graft.adapters.retraining.background import Background
from graft.vision.data.splits import classes_of
from graft.vision.data.truths import truth_in_words
from graft.vision.monitoring.accuracy import Confidences, estimate_accuracy
from graft.vision.monitoring.changes import some_units
from graft.vision.monitoring.fall import FALLEN, find_fall, no_verdict
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.records import MaskReader
from graft.vision.task import Task

if TYPE_CHECKING:
    from graft.vision.promotion.records import Judged

ASKED = 1000
"""New images that the champion is asked about, drawn in whole units."""

NOTHING: dict[str, Any] = {
    "estimate": None, "fallen": None, "unknown_classes": {}, "truths_doubted": False,
}  # fmt: skip


def watch_accuracy(
    background: Background,
    new: pd.DataFrame,
    masks: MaskReader,
    drift_verdict: str,
    options: RetrainingOptions,
) -> dict[str, Any]:
    """The estimate without truth, and beside it whether the score has fallen.

    Args:
        new: rows of the manifest that the champion has not learned from, with ``unit``; or images
            without ``truth``, of which the estimate alone is told.

    Returns:
        ``images`` (asked about), ``estimate`` (of `estimate_accuracy`, null where none is told),
        ``fallen`` (of `find_fall`; null without truth), ``unknown_classes`` (images by class that
        the champion does not know), ``truths_doubted`` (whether the score has fallen though the
        images have not drifted, and farther than confidence foretells), ``sentences``.
    """
    asked = some_units(new, ASKED, options.monitoring.seed)
    task, least = background.case.task, options.monitoring.drift.images_min
    if len(asked) < least:
        few = f"the champion has not learned from {len(asked)} new images, and {least} are needed"
        return _nothing(task, few, asked)
    try:
        judged, said = background.judged, ask(background.case, background.version, asked)
    except (EvidenceError, UnloadableModelError) as error:
        return _nothing(task, str(error), asked)
    estimate = _estimate(task, judged, said, drift_verdict, options)
    told = {**NOTHING, "images": len(asked), "estimate": estimate}
    sentences = list(estimate["sentences"]) if estimate else []
    if "truth" in asked:
        said = said.assign(truth=[truth_in_words(text, masks) for text in asked["truth"]])
        by_truth = _by_truth(task, judged, said, list(asked["truth"]), estimate, options)
        sentences += by_truth.pop("sentences")
        told |= by_truth
    return {**told, "sentences": sentences}


def _estimate(
    task: Task,
    judged: "Judged",
    said: pd.DataFrame,
    drift_verdict: str,
    options: RetrainingOptions,
) -> dict[str, Any] | None:
    """Of the mean score of an image, 0..1, by the confidence that the task states of it."""
    known = judged.predictions
    right = task.new_metrics(known, judged.classes).image_scores()
    can_judge = np.isfinite(right)  # nobody judges an image whose truth is void
    if not can_judge.any():
        return None
    rows = known[can_judge]
    before = Confidences(rows["score"].to_numpy(float), list(rows["unit"]), right[can_judge])
    now = Confidences(said["score"].to_numpy(float), list(said["unit"]))
    return estimate_accuracy(before, now, drift_verdict, options.monitoring)


def _by_truth(
    task: Task,
    judged: "Judged",
    said: pd.DataFrame,
    truths: Sequence[str],
    estimate: dict[str, Any] | None,
    options: RetrainingOptions,
) -> dict[str, Any]:
    """``fallen``, ``unknown_classes``, ``truths_doubted``, and ``sentences`` of the last two."""
    fallen = find_fall(task, judged.classes, judged.predictions, said, options)
    unknown = _unknown_classes(truths, judged.classes.names)
    right = task.new_metrics(said, judged.classes).image_scores()
    doubts = _doubts_of_truths(estimate, fallen, right)
    return {
        "fallen": fallen,
        "unknown_classes": unknown,
        "truths_doubted": bool(doubts),
        "sentences": [*_unknown_sentence(unknown), *doubts],
    }


def _nothing(task: Task, reason: str, asked: pd.DataFrame) -> dict[str, Any]:
    said = f"How good the champion is on the new images cannot be told: {reason.rstrip('.')}."
    fallen = no_verdict(task, reason) if "truth" in asked else None
    return {**NOTHING, "images": len(asked), "fallen": fallen, "sentences": [said]}


def _doubts_of_truths(
    estimate: dict[str, Any] | None, fallen: dict[str, Any], right: Any
) -> list[str]:
    """Images like the known ones on which a calibrated champion is far from what it foretells: it
    is the truths that are unlike."""
    if estimate is None or not estimate["trusted"] or fallen["verdict"] != FALLEN:
        return []
    found = float(np.nanmean(right))
    foretold = min(each["low"] for each in estimate["estimates"].values())
    if found >= foretold:
        return []
    return [
        f"The images look like the known ones, and the champion foretells that at least "
        f"{foretold:.0%} are right; by the new truths {found:.0%} are: look at these truths."
    ]


def _unknown_classes(truths: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    found = [name for text in truths for name in dict.fromkeys(classes_of(text))]
    unknown = sorted(set(found) - set(names))
    return {name: found.count(name) for name in unknown}


def _unknown_sentence(unknown: dict[str, int]) -> list[str]:
    if not unknown:
        return []
    named = ", ".join(f"{name} ({count} images)" for name, count in unknown.items())
    return [f"The champion does not know these classes of the new images: {named}."]
