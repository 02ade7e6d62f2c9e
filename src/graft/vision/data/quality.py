"""What is known of the data's quality, as one record for people and programs."""

import re
from collections import Counter
from typing import Any

import pandas as pd

from graft.vision.data.splits import classes_of
from graft.vision.records import SPLITS, data_digest, readable_truth

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
        "quarantine_reasons": _counts(
            re.split(r"; | \(", reason)[0] for reason in quarantine["reason"]
        ),
        "splits": {name: int((split_manifest["split"] == name).sum()) for name in SPLITS},
        "classes": _classes(split_manifest),
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
    truth = dict(zip(manifest["id"], manifest["truth"], strict=True))
    pairs = list(zip(near_copies["id_a"], near_copies["id_b"], strict=True))
    apart = [(a, b) for a, b in pairs if truth[a] != truth[b]]
    table = near_copies[[truth[a] != truth[b] for a, b in pairs]] if pairs else near_copies
    if not apart:
        return table, []
    named = "; ".join(
        f"{a} ({readable_truth(truth[a])}) and {b} ({readable_truth(truth[b])})"
        for a, b in apart[:3]
    )
    return table, [f"{len(apart)} pairs of copies have different truths: {named}"]


def _classes(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for split, text in zip(rows["split"], rows["truth"], strict=True):
        for name in classes_of(text):
            counts = table.setdefault(name, dict.fromkeys(SPLITS, 0))
            counts[split] += 1
    return dict(sorted(table.items()))


def _mixed_groups(manifest: pd.DataFrame) -> list[str]:
    grouped = manifest[manifest["group"] != ""].groupby("group")["truth"].nunique()
    return sorted(grouped[grouped > 1].index)[:MOST_NAMED]


def _counts(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common(20))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        dict(zip(table.columns, row, strict=True))
        for row in table.head(MOST_NAMED).to_numpy(object)
    ]
