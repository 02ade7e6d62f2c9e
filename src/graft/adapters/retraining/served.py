"""Images that were served: nobody has annotated them, and yet something can be told of them."""

from pathlib import Path
from typing import Any

from graft.adapters.promotion.case import Case
from graft.adapters.retraining.background import Background
from graft.adapters.retraining.drifting import parts_of, watch_drift
from graft.adapters.retraining.judging import watch_accuracy
from graft.adapters.retraining.present import Present
from graft.vision.errors import DataError, OptionsError
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.monitoring.unlabelled import read_unlabelled


def watch_unlabelled(
    background: Background, present: Present, options: RetrainingOptions
) -> dict[str, Any]:
    """Drift and label-free accuracy of the images below ``retraining.unlabelled``.

    Those whose bytes the champion has had, or that have a truth by now, are passed over.

    Returns:
        ``folder``, ``images`` (told of), ``passed_over``, ``refused`` (file and reason of each that
        cannot be used), ``drift`` (of `watch_drift`), ``accuracy`` (of `watch_accuracy`),
        ``sentences``.

    Raises:
        OptionsError: for a folder outside the project.
        DataError: for one that is not there.
    """
    folder = _folder(background.case, options.unlabelled)
    pixels = present.seen.ground.pixels
    rows, refused = read_unlabelled(folder, pixels, present.fingerprints, present.seen.ingestion)
    known = {*background.images["sha256"], *present.manifest["sha256"]}
    new = rows[~rows["sha256"].isin(known)].reset_index(drop=True)
    drift = watch_drift(present.sight, background.training, new, options.monitoring, power=False)
    masks, verdict = present.seen.ground.masks, drift["verdict"]
    accuracy = watch_accuracy(background, new, masks, verdict, options)
    told = [said for part in (*parts_of(drift), accuracy) for said in part["sentences"]]
    return {
        "folder": options.unlabelled,
        "images": len(new),
        "passed_over": len(rows) - len(new),
        "refused": refused[["file", "reason"]].to_dict("records"),
        "drift": drift,
        "accuracy": accuracy,
        "sentences": [f"In {options.unlabelled} are {len(new)} images without truth.", *told],
    }


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
