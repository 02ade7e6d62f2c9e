"""What is to be said of images that are new to the champion: drift, accuracy, suspicion."""

from typing import Any

import pandas as pd

from graft.adapters.retraining.background import Background
from graft.adapters.retraining.drifting import parts_of, watch_drift
from graft.adapters.retraining.judging import watch_accuracy
from graft.adapters.retraining.present import Present
from graft.adapters.retraining.taking_in import watch_intake, with_doubts
from graft.vision.monitoring.changes import Changes
from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.monitoring.retraining_options import RetrainingOptions

Record = dict[str, Any]


def tell_news(
    background: Background,
    present: Present,
    changes: Changes,
    refused: pd.DataFrame,
    options: RetrainingOptions,
    power: bool,
) -> Record:
    """``drift``, ``accuracy``, ``fallen`` and ``intake`` of `graft.adapters.retraining.watching`.

    Args:
        refused: files that cannot be used, and were not refused before.
        power: also tell which shifts would be found.
    """
    of_images = _of_images(background, present, changes, options, power)
    intake = _intake(background, present, changes, refused, options.monitoring)
    doubted = with_doubts(intake, of_images["accuracy"], list(changes.new["id"]))
    return {**of_images, "intake": doubted}


def sentences_of(found: Record) -> list[str]:
    """All that is said, in the order in which a person asks."""
    parts = [found["new"], found["intake"], *parts_of(found["drift"]), found["accuracy"]]
    parts += [part for part in (found["fallen"], found["unlabelled"]) if part]
    return [str(said) for part in parts for said in part["sentences"]]


def _of_images(
    background: Background,
    present: Present,
    changes: Changes,
    options: RetrainingOptions,
    power: bool,
) -> Record:
    """``drift``, ``accuracy`` and ``fallen`` of what the champion has never had."""
    new = changes.new
    unseen = new[~new["sha256"].isin(background.images["sha256"])].reset_index(drop=True)
    drift = watch_drift(present.sight, background.training, unseen, options.monitoring, power)
    fair = unseen[~unseen["unit"].isin(_learned_units(background, present))]
    masks, verdict = present.seen.ground.masks, drift["verdict"]
    accuracy = watch_accuracy(background, fair, masks, verdict, options)
    told = {**accuracy, "left_out": len(unseen) - len(fair)}
    return {"drift": drift, "accuracy": told, "fallen": told.pop("fallen")}


def _intake(
    background: Background,
    present: Present,
    changes: Changes,
    refused: pd.DataFrame,
    options: MonitoringOptions,
) -> Record:
    if changes.new.empty and refused.empty:
        said = ["No new images have come."]
        return {"held": False, "reasons": [], "images": 0, "sentences": said}
    return watch_intake(background, present, changes, refused, options)


def _learned_units(background: Background, present: Present) -> set[str]:
    """Units of the manifest that hold an image which the champion has learned from, be it with
    other bytes by now."""
    now, learned = present.manifest, background.learned
    is_theirs = now["sha256"].isin(learned["sha256"]) | now["id"].isin(learned["id"])
    return set(now.loc[is_theirs, "unit"])
