"""What is known of the data's quality, as one record for people and programs."""

import json
import re
from collections import Counter
from typing import Any

import pandas as pd

from graft.vision.data.splits import classes_of
from graft.vision.records import SPLITS, data_digest

MOST_NAMED = 500
"""Pairs and names listed at the most; counts are always whole."""


def quality_report(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    near_copies: pd.DataFrame,
    split_manifest: pd.DataFrame,
    leaks: pd.DataFrame,
    findings: list[str],
) -> dict[str, Any]:
    """Counts, sizes, copies, leaks, conflicting truths and findings, as plain JSON values."""
    near = near_copies[near_copies["kind"] == "near"]
    conflicting, conflict = _conflicts(manifest, near_copies)
    return {
        "images": len(manifest),
        "data_sha256": data_digest(manifest),
        "quarantined": len(quarantine),
        "quarantined_of_used_images": int(quarantine["file"].isin(manifest["id"]).sum()),
        "quarantine_reasons": _counts(
            re.split(r"; | \(", reason)[0] for reason in quarantine["reason"]
        ),
        "quarantine": _records(quarantine),
        "splits": {name: int((split_manifest["split"] == name).sum()) for name in SPLITS},
        "classes": _classes(split_manifest),
        "boxes": _boxes(split_manifest),
        "images_without_objects": sum(not classes_of(text) for text in manifest["truth"]),
        "groups": int(manifest["group"][manifest["group"] != ""].nunique()),
        "groups_with_several_classes": _mixed_groups(manifest),
        "size_px": {
            side: {
                "least": int(manifest[side].min()),
                "median": float(manifest[side].median()),
                "greatest": int(manifest[side].max()),
            }
            for side in ("width", "height")
        },
        "channels": _counts(str(channels) for channels in manifest["channels"]),
        "notes": _counts(
            note.split(" from ")[0]
            for notes in manifest["notes"]
            for note in notes.split("; ")
            if note
        ),
        "exact_copies": int((near_copies["kind"] == "exact").sum()),
        "near_copies": len(near),
        "copies": _records(near_copies),
        "copies_with_other_truth": _records(conflicting),
        "leaks": _records(leaks),
        "leaking_images": len(leaks),
        "findings": [*findings, *conflict],
    }


def _conflicts(manifest: pd.DataFrame, near_copies: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The pairs of copies that annotators said different things of, and a sentence about them."""
    truth = {
        name: json.loads(text) for name, text in zip(manifest["id"], manifest["truth"], strict=True)
    }
    triples = near_copies[["id_a", "id_b", "kind"]].to_numpy(object)
    differ = [_meaning(truth[a], kind) != _meaning(truth[b], kind) for a, b, kind in triples]
    table = near_copies[differ] if differ else near_copies
    if not any(differ):
        return table, []
    named = "; ".join(
        f"{a} ({_named(truth[a])}) and {b} ({_named(truth[b])})"
        for a, b in table[["id_a", "id_b"]].head(3).to_numpy(object)
    )
    return table, [f"{len(table)} pairs of copies have different truths: {named}"]


def _named(truth: dict[str, Any]) -> str:
    return "|".join(dict.fromkeys(truth["classes"])) or "nothing"


def _classes(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for split, text in zip(rows["split"], rows["truth"], strict=True):
        for name in dict.fromkeys(classes_of(text)):
            counts = table.setdefault(name, dict.fromkeys(SPLITS, 0))
            counts[split] += 1
    return dict(sorted(table.items()))


def _boxes(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many boxes of each class each split holds; empty where truths are no boxes."""
    table: dict[str, dict[str, int]] = {}
    for split, text in zip(rows["split"], rows["truth"], strict=True):
        truth = json.loads(text)
        for name in truth["classes"] if "boxes_xyxy" in truth else ():
            table.setdefault(name, dict.fromkeys(SPLITS, 0))[split] += 1
    return dict(sorted(table.items()))


def _meaning(truth: dict[str, Any], kind: str) -> Any:
    """What must agree between copies: of exact ones all, of near ones the classes they show."""
    if "mask_sha256" in truth:
        return truth["mask_sha256"] if kind == "exact" else truth["classes"]
    if "boxes_xyxy" in truth:
        boxes = sorted(zip(truth["classes"], truth["boxes_xyxy"], strict=True))
        return boxes if kind == "exact" else sorted(set(truth["classes"]))
    return truth["classes"]


def _mixed_groups(manifest: pd.DataFrame) -> list[str]:
    """Groups of several classes, where an image has its classes as a whole."""
    if manifest["truth"].str.contains('"size_px"', regex=False).any():
        return []
    grouped = manifest[manifest["group"] != ""].groupby("group")["truth"].nunique()
    return sorted(grouped[grouped > 1].index)[:MOST_NAMED]


def _counts(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common(20))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        dict(zip(table.columns, row, strict=True))
        for row in table.head(MOST_NAMED).to_numpy(object)
    ]
