"""New images that contradict known ones: copies with another truth, and files changed in place."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from graft.vision.data.near_copies import find_near_copies
from graft.vision.data.options import NearCopyOptions
from graft.vision.data.pixels import PixelReader
from graft.vision.records import named_rows
from graft.vision.store import ArrayStore

KNOWN, NEW = "known", "new"
SHARED_MIN = 0.5
"""Share of boxes or classes, by class, that near copies with several must have in common."""

Conflict = dict[str, Any]


def find_copies_of_known(
    known: pd.DataFrame,
    new: pd.DataFrame,
    pixels: PixelReader,
    cache: ArrayStore,
    options: NearCopyOptions,
) -> pd.DataFrame:
    """The pairs ``known_id``, ``new_id``, ``kind`` (exact or near), ``score``, ``how``.

    Each side counts as one group, so that images are compared across alone, whatever group they
    are of. Each new image is compared with its nearest few known ones.

    Args:
        known, new: tables of MANIFEST_COLUMNS; an id may be on both sides.
    """
    fields = ["id", "sha256", "width", "height"]
    sides = [
        side[fields].assign(id=f"{name}/" + side["id"], group=name)
        for name, side in ((KNOWN, known), (NEW, new[~new["sha256"].isin(known["sha256"])]))
    ]
    pairs = find_near_copies(pd.concat(sides, ignore_index=True), pixels, cache, options).pairs
    rows = list(_same_bytes(known, new))
    for pair in named_rows(pairs):
        ends = dict(name.split("/", 1) for name in (pair.id_a, pair.id_b))
        if len(ends) == 2:
            rows.append((ends[KNOWN], ends[NEW], pair.kind, pair.score, pair.how))
    return pd.DataFrame(rows, columns=["known_id", "new_id", "kind", "score", "how"])


def conflicting_copies(
    known: pd.DataFrame, new: pd.DataFrame, pairs: pd.DataFrame
) -> list[Conflict]:
    """The new images that are copies of a known one and say something else of it.

    Exact copies must have an equal truth. Near copies must have the same class, or, where there
    are several in an image, at least half of them in common: a crop may cut some off.

    Args:
        pairs: of `find_copies_of_known`.

    Returns:
        ``file``, ``known``, ``kind``, ``says``, ``known_says``, each pair once.
    """
    truths = [
        {name: json.loads(text) for name, text in zip(side["id"], side["truth"], strict=True)}
        for side in (known, new)
    ]
    return [
        {
            "file": pair.new_id,
            "known": pair.known_id,
            "kind": pair.kind,
            "says": _named(truths[1][pair.new_id]),
            "known_says": _named(truths[0][pair.known_id]),
        }
        for pair in named_rows(pairs)
        if _differ(truths[0][pair.known_id], truths[1][pair.new_id], pair.kind)
    ]


def changed_sources(known: pd.DataFrame, new: pd.DataFrame) -> list[Conflict]:
    """The new files that stand under a known id with other bytes: ``file`` and both digests."""
    stood = dict(zip(known["id"], known["sha256"], strict=True))
    return [
        {"file": row.id, "sha256": row.sha256, "known_sha256": stood[row.id]}
        for row in named_rows(new)
        if stood.get(row.id, row.sha256) != row.sha256
    ]


def _same_bytes(
    known: pd.DataFrame, new: pd.DataFrame
) -> Iterator[tuple[str, str, str, float, str]]:
    met = known[["id", "sha256"]].merge(new[["id", "sha256"]], on="sha256")
    for one, other in met[["id_x", "id_y"]].to_numpy(object):
        yield one, other, "exact", 1.0, "same bytes"


def _differ(one: dict[str, Any], other: dict[str, Any], kind: str) -> bool:
    if kind == "exact":
        return bool(_whole(one) != _whole(other))
    first, second = Counter(one["classes"]), Counter(other["classes"])
    if max(first.total(), second.total()) <= 1:
        return first != second
    shared = (first & second).total() / max((first | second).total(), 1)
    return shared < SHARED_MIN


def _whole(truth: dict[str, Any]) -> Any:
    """All that was said, without the names of files and the order of objects."""
    if "mask_sha256" in truth:
        return truth["mask_sha256"]
    if "boxes_xyxy" in truth:
        return sorted(zip(truth["classes"], truth["boxes_xyxy"], strict=True))
    return sorted(truth["classes"])


def _named(truth: dict[str, Any]) -> str:
    return "|".join(dict.fromkeys(truth["classes"])) or "nothing"
