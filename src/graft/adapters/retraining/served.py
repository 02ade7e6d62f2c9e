"""Images that were served: nobody has annotated them, and yet something can be told of them."""

from pathlib import Path
from typing import Any

import pandas as pd

from graft.adapters.promotion.case import Case
from graft.adapters.retraining.background import Background
from graft.adapters.retraining.present import Present
from graft.vision.errors import DataError, OptionsError
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.monitoring.unlabelled import read_unlabelled

NOTHING: dict[str, Any] = {"drift": None, "accuracy": None, "sentences": []}


def watch_unlabelled(
    background: Background, present: Present, options: RetrainingOptions
) -> dict[str, Any]:
    """Drift and label-free accuracy of the images below ``retraining.unlabelled``.

    Those whose bytes the champion has had, or that have a truth by now, are passed over.

    Returns:
        ``folder``, ``images`` (told of), ``passed_over``, ``refused`` (file and reason of each that
        cannot be used), ``drift`` (of `watch_drift`) and ``accuracy`` (of `watch_accuracy`), both
        null where there is no image to tell of, ``sentences``.

    Raises:
        OptionsError: for a folder outside the project.
        DataError: for one that is not there.
    """
    folder, seen = _folder(background.case, options.unlabelled), present.seen
    rows, refused = read_unlabelled(folder, seen.pixels, seen.fingerprints, seen.ingestion)
    known = {*background.images["sha256"], *present.manifest["sha256"]}
    new = rows[~rows["sha256"].isin(known)].reset_index(drop=True)
    found = _of_images(background, present, new, options) if len(new) else NOTHING
    return {
        "folder": options.unlabelled,
        "images": len(new),
        "passed_over": len(rows) - len(new),
        "refused": refused[["file", "reason"]].to_dict("records"),
        **found,
        "sentences": [
            f"In {options.unlabelled} are {len(new)} images without truth.", *found["sentences"]
        ],
    }  # fmt: skip


def _of_images(
    background: Background, present: Present, new: pd.DataFrame, options: RetrainingOptions
) -> dict[str, Any]:
    """``drift`` and ``accuracy``, and what they say in words."""
    from graft.adapters.retraining.drifting import parts_of, watch_drift
    from graft.adapters.retraining.judging import watch_accuracy

    drift = watch_drift(present.sight, background.training, new, options.monitoring, power=False)
    masks, verdict = present.seen.ground.masks, drift["verdict"]
    accuracy = watch_accuracy(background, new, masks, verdict, options)
    told = [said for part in (*parts_of(drift), accuracy) for said in part["sentences"]]
    return {"drift": drift, "accuracy": accuracy, "sentences": told}


def _folder(case: Case, name: str) -> Path:
    root = case.project.resolve()
    folder = (root / name).resolve()
    if not folder.is_relative_to(root) or folder == root:
        raise OptionsError(
            f"parameters: {case.task_name}.retraining.unlabelled",
            found=repr(name),
            allowed="the path of a folder below the project",
            mend="correct it in the case's parameters",
        )
    if not folder.is_dir():
        raise DataError(
            f"no folder of unlabelled images at {folder}",
            mend="bring the images there, or set retraining.unlabelled to an empty text",
        )
    return folder
