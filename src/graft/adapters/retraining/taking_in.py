"""Whether what is new may come in, or a person must look at it first."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from graft.adapters.retraining.background import Background
from graft.adapters.retraining.present import Present
from graft.vision.monitoring.changes import Changes
from graft.vision.monitoring.copies import find_copies_of_known
from graft.vision.monitoring.intake import Arrival, judge_intake
from graft.vision.monitoring.options import MonitoringOptions

PAIRS = ["known_id", "new_id", "kind", "score", "how"]


def watch_intake(
    background: Background,
    present: Present,
    changes: Changes,
    refused: pd.DataFrame,
    options: MonitoringOptions,
) -> dict[str, Any]:
    """`judge_intake` of what is new: rows that were added or changed, and files refused since.

    A truth that was changed in place, or by a move to another folder, is what is known from then
    on: it contradicts the copies of its image, and not itself.
    """
    new, sight = changes.new, present.sight
    known = _as_said_now(background.images, changes.changed_truth)
    there = sight.at_hand(known)
    arrival = Arrival(
        known=known,
        new=new,
        pairs=_pairs(there, new, present, changes),
        unusable=refused,
        known_pixels=sight.show(there),
        new_pixels=sight.show(new),
    )
    return judge_intake(arrival, options.intake, options.seed)


def with_doubts(
    intake: dict[str, Any], accuracy: Mapping[str, Any], files: Sequence[str]
) -> dict[str, Any]:
    """The intake, held too where the truths of the new images are doubted (of `watch_accuracy`):
    labels that are wrong as a whole contradict no copy, and are told by this alone."""
    if not accuracy["truths_doubted"]:
        return intake
    sentence = str(accuracy["sentences"][-1])
    reason = {"check": "doubted truths", "sentence": sentence, "files": list(files), "facts": []}
    head = f"The batch of {intake['images']} images is held: a person must look at it."
    sentences = [head, *(str(each["sentence"]) for each in intake["reasons"]), sentence]
    return {
        **intake, "held": True, "reasons": [*intake["reasons"], reason], "sentences": sentences,
    }  # fmt: skip


def _as_said_now(known: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    truths = known["id"].map(dict(zip(changed["id"], changed["truth"], strict=True)))
    return known.assign(truth=truths.where(truths.notna(), known["truth"]))


def _pairs(
    known: pd.DataFrame, new: pd.DataFrame, present: Present, changes: Changes
) -> pd.DataFrame:
    """Copies of known images among the new ones, but for files that were only moved."""
    if new.empty or known.empty:
        return pd.DataFrame(columns=PAIRS)
    seen = present.seen
    found = find_copies_of_known(
        known, new, seen.pixels, seen.fingerprints, seen.ingestion.near_copies
    )
    moved = (found["kind"] == "exact") & found["known_id"].isin(changes.gone["id"])
    return pd.concat([found[~moved], _copies_of_corrected(known, new, present)], ignore_index=True)


def _copies_of_corrected(known: pd.DataFrame, new: pd.DataFrame, present: Present) -> pd.DataFrame:
    """Near copies, among the known images, of those of which but the truth or place is new."""
    corrected = set(new.loc[new["sha256"].isin(known["sha256"]), "id"])
    standing = set(known["id"]) - set(new["id"])
    near = present.seen.pairs[present.seen.pairs["kind"] == "near"]
    rows = [
        (other, one, *facts)
        for a, b, *facts in near[["id_a", "id_b", "kind", "score", "how"]].to_numpy(object)
        for one, other in ((a, b), (b, a))
        if one in corrected and other in standing
    ]
    return pd.DataFrame(rows, columns=PAIRS)
