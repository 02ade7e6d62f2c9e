"""What is new beside the champion, and what is to be said of it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from graft.adapters.promotion.case import Case
from graft.adapters.retraining.background import Background
from graft.adapters.retraining.drifting import parts_of, watch_drift
from graft.adapters.retraining.judging import watch_accuracy
from graft.adapters.retraining.looking import Seen
from graft.adapters.retraining.present import Present
from graft.adapters.retraining.served import watch_unlabelled
from graft.adapters.retraining.taking_in import refused_since, watch_intake, with_doubts
from graft.vision.monitoring.changes import Changes, find_changes
from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.monitoring.retraining_options import RetrainingOptions

Record = dict[str, Any]


def watch(
    case: Case,
    champion: Any,
    split: pd.DataFrame,
    seen: Seen,
    said: Mapping[str, Any],
    *,
    power: bool = False,
) -> Record | None:
    """Compare the data as they lie now with those that the champion was trained and judged by.

    Args:
        champion: its registered version.
        split: the split manifest that it was trained by.
        said: the parameters of the case's task, by block.
        power: also tell which shifts would be found; it takes minutes.

    Returns:
        None where nothing is new and nothing unlabelled; else, as JSON has it: ``champion``
        (NAME/version); ``known``: the ``images`` it was made of, ``by_split``, ``data_sha256``;
        ``new`` (of `Changes.record`, with ``refused``: new files that cannot be used); ``drift``
        (of `watch_drift`) of images whose bytes the champion has never had; ``intake`` (of
        `judge_intake`); ``accuracy`` and ``fallen`` (of `watch_accuracy`) of those that belong
        together with none that it has learned from, ``left_out`` counts the others; ``unlabelled``
        and ``unlabelled_drift`` (of `watch_unlabelled`), null where conf names no folder;
        ``sentences``.

    Raises:
        AlteredModelError: when the champion's bytes are not those registered.
        OptionsError: for what conf states wrongly.
        DataError: where the folder of unlabelled images is not there.
    """
    options = RetrainingOptions.parse(said.get("retraining") or {}, f"{case.task_name}.retraining")
    background = Background(case, champion, split)
    present = Present(case.project, seen, said)
    changes = find_changes(split, present.manifest, background.withheld)
    refused = refused_since(background.refused, present.refused)
    served = watch_unlabelled(background, present, options) if options.unlabelled else None
    if changes.new.empty and refused.empty and not (served and served["images"]):
        return None
    new = {**changes.record(), "refused": refused[["file", "reason"]].to_dict("records")}
    of_images = _of_images(background, present, changes, options, power)
    intake = _intake(background, present, changes, refused, options.monitoring)
    found = {
        "champion": background.name,
        "known": background.record(),
        "new": new,
        **of_images,
        "intake": with_doubts(intake, of_images["accuracy"], list(changes.new["id"])),
        "unlabelled": served,
        "unlabelled_drift": served and served["drift"],
    }
    return {**found, "sentences": _sentences(found)}


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
    """Units of the manifest that hold an image which the champion was trained or tuned on, be it
    with other bytes by now."""
    now, learned = present.manifest, background.learned
    is_theirs = now["sha256"].isin(learned["sha256"]) | now["id"].isin(learned["id"])
    return set(now.loc[is_theirs, "unit"])


def _sentences(found: Record) -> list[str]:
    """All that is said, in the order in which a person asks."""
    parts = [found["new"], found["intake"], *parts_of(found["drift"]), found["accuracy"]]
    if found["fallen"]:
        parts.append(found["fallen"])
    if found["unlabelled"]:
        parts.append(found["unlabelled"])
    return [str(said) for part in parts for said in part["sentences"]]
