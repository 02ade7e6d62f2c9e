"""Whether a batch is taken in, or held for a person to look at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from graft.vision.monitoring.copies import changed_sources, conflicting_copies
from graft.vision.monitoring.flood import find_floods
from graft.vision.monitoring.options import IntakeOptions
from graft.vision.monitoring.patches import find_patch
from graft.vision.records import Array

MOST_NAMED = 3
"""Files named in a sentence; records hold all of them."""


@dataclass(frozen=True)
class Arrival:
    """New images beside what was known before they came.

    Attributes:
        known, new: tables of MANIFEST_COLUMNS with ``unit``; ``new`` has the rows that are new or
            changed. An id may be on both sides.
        pairs: of `find_copies_of_known`.
        unusable: a table of QUARANTINE_COLUMNS with what was refused of the new files.
        known_pixels, new_pixels: upright (H, W, C) uint8 of each row; read when asked for.
    """

    known: pd.DataFrame
    new: pd.DataFrame
    pairs: pd.DataFrame
    unusable: pd.DataFrame
    known_pixels: Sequence[Array]
    new_pixels: Sequence[Array]


def judge_intake(arrival: Arrival, options: IntakeOptions, seed: int) -> dict[str, Any]:
    """Hold the batch if any check finds something.

    Returns:
        ``held``; ``reasons``, each with ``check`` (unusable files, conflicting copies, changed
        source, class flood, patch), ``sentence``, ``files`` (all of them) and ``facts``;
        ``images``; ``sentences``.
    """
    reasons = [
        *_unusable(arrival, options),
        *_conflicts(arrival, options),
        *_changed(arrival),
        *_floods(arrival, options),
        *_patches(arrival, options, seed),
    ]
    count = len(arrival.new)
    verdict = (
        f"The batch of {count} images is held: a person must look at it."
        if reasons
        else f"Nothing suspicious is found in the batch of {count} images."
    )
    return {
        "held": bool(reasons),
        "reasons": reasons,
        "images": count,
        "sentences": [verdict, *(str(reason["sentence"]) for reason in reasons)],
    }


def _unusable(arrival: Arrival, options: IntakeOptions) -> Iterable[dict[str, Any]]:
    files = list(dict.fromkeys(map(str, arrival.unusable["file"])))
    total = len(files) + int((~arrival.new["id"].isin(files)).sum())
    few = len(files) < options.unusable_min and len(files) < total
    if files and not few and len(files) / total > options.unusable_share_max:
        facts = [
            {"file": file, "reason": reason}
            for file, reason in arrival.unusable[["file", "reason"]].to_numpy(object)
        ]
        said = f"{len(files)} of {total} files cannot be used"
        yield _reason("unusable files", said, files, facts)


def _conflicts(arrival: Arrival, options: IntakeOptions) -> Iterable[dict[str, Any]]:
    facts = conflicting_copies(arrival.known, arrival.new, arrival.pairs)
    files = list(dict.fromkeys(row["file"] for row in facts))
    if len(files) > options.conflicting_copies_max:
        first = facts[0]
        said = (
            f"{len(files)} images are copies of known ones and have another truth "
            f"(first: {first['says']}, known as {first['known_says']} in {first['known']})"
        )
        yield _reason("conflicting copies", said, files, facts)


def _changed(arrival: Arrival) -> Iterable[dict[str, Any]]:
    facts = changed_sources(arrival.known, arrival.new)
    if facts:
        said = f"{len(facts)} known files have other bytes than before"
        yield _reason("changed source", said, [row["file"] for row in facts], facts)


def _floods(arrival: Arrival, options: IntakeOptions) -> Iterable[dict[str, Any]]:
    for found in find_floods(arrival.known, arrival.new, options):
        said = (
            f"class {found['class']} is in {found['share']:.0%} of the new images, "
            f"and in {found['known_share']:.0%} of the known ones"
        )
        facts = {name: value for name, value in found.items() if name != "files"}
        yield _reason("class flood", said, found["files"], [facts])


def _patches(arrival: Arrival, options: IntakeOptions, seed: int) -> Iterable[dict[str, Any]]:
    units = list(arrival.new["unit"])
    patch = find_patch(arrival.known_pixels, arrival.new_pixels, units, options, seed)
    if patch is not None:
        ids = list(arrival.new["id"])
        said = (
            f"{len(patch.rows)} images carry the same small patch at one place ({patch.where}, "
            f"{patch.left:.0%} from its left and {patch.top:.0%} from its top); "
            f"{patch.known} of {patch.known_images} known images show it"
        )
        facts = {name: value for name, value in vars(patch).items() if name != "rows"}
        yield _reason("patch", said, [ids[row] for row in patch.rows], [facts])


def _reason(
    check: str, said: str, files: Sequence[str], facts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    named = ", ".join(files[:MOST_NAMED])
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return {
        "check": check,
        "sentence": f"{said[0].upper()}{said[1:]}: {named}{more}.",
        "files": list(files),
        "facts": [dict(row) for row in facts],
    }
