"""The load-and-predict check: registered bytes, in a clean process, say what was recorded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from graft.adapters.promotion.case import Case
from graft.adapters.promotion.clean_process import (
    UnloadableModelError,
    disagreement,
    predict_cleanly,
    predictions_digest,
)
from graft.adapters.promotion.evidence import judged_again, threads_of
from graft.adapters.registry import AlteredModelError, digests_in, verified
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check, Judged

DEFAULTS = PromotionOptions()


def check_loads(case: Case, version: Any, recorded: Judged) -> tuple[Check, dict[str, Any]]:
    """Whether a version loads and predicts as recorded, and what later checks compare with.

    The evidence: digests of the registered folder, the images that were predicted (path and
    SHA-256), the digest of what was said, and the threads it was said with.
    """
    rule = case.rule or DEFAULTS
    rows = _spread(recorded.predictions, rule.check_images)
    images = {str(row["path"]): str(row["sha256"]) for row in rows.to_dict("records")}
    try:
        evidence, said = say(case, version, images, threads_of(version))
    except (AlteredModelError, UnloadableModelError) as error:
        return Check("load", False, str(error)), {}
    odd = disagreement(rows, said)
    if odd is not None:
        return Check("load", False, f"registered bytes predict otherwise than recorded: {odd}"), {}
    return Check("load", True, f"registered bytes predict {len(rows)} images as recorded"), evidence


def say(
    case: Case, version: Any, images: Mapping[str, str], threads: int | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """What the verified bytes of a version say of images (path -> SHA-256), with its evidence.

    Raises:
        AlteredModelError: when the bytes are not those registered.
        UnloadableModelError: when they do not predict, or the images are not what they were.
    """
    timeout_s = (case.rule or DEFAULTS).check_timeout_s
    paths = [_known(case.raw / path, sha256) for path, sha256 in images.items()]
    with verified(version) as model:
        said = predict_cleanly(model, paths, timeout_s, threads)
        evidence = {
            **digests_in(model),
            "images": dict(images),
            "threads": threads,
            "predictions_sha256": predictions_digest(said),
        }
    return evidence, said


def judge_again(case: Case, version: Any, on: Judged) -> Judged:
    """A version judged by its registered bytes on the test images of another. Raises as `say`."""
    rows = on.predictions.to_dict("records")
    images = {str(row["path"]): str(row["sha256"]) for row in rows}
    if len(images) < len(rows):
        raise UnloadableModelError("several test images have one path", found=on.name)
    _, said = say(case, version, images, threads_of(version))
    return judged_again(case, version, on, said)


def _spread(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """So many rows, evenly over all of them."""
    step = max(1, len(rows) // number)
    return rows.iloc[::step].head(number).reset_index(drop=True)


def _known(path: Path, sha256: str) -> Path:
    from graft.vision.records import digest_of_file

    if not path.is_file() or digest_of_file(path) != sha256:
        raise UnloadableModelError(
            f"test image {path} is {'another' if path.is_file() else 'not there'}",
            allowed=f"the file with SHA-256 {sha256[:12]}...",
            mend="bring the raw data back (dvc checkout)",
        )
    return path
