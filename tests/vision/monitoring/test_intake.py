"""Intake: poisoned batches are held with reason and files, clean ones pass."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from monitored import manifest_of, picture

from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import DecodingOptions, NearCopyOptions
from graft.vision.monitoring.copies import (
    changed_sources,
    conflicting_copies,
    find_copies_of_known,
)
from graft.vision.monitoring.flood import find_floods
from graft.vision.monitoring.intake import Arrival, judge_intake
from graft.vision.monitoring.options import IntakeOptions
from graft.vision.records import QUARANTINE_COLUMNS, new_table

OPTIONS = IntakeOptions()
CLASSES = ("ant", "bee", "wasp")
KNOWN = [picture(i) for i in range(60)]
NEW = [picture(1000 + i) for i in range(40)]
NO_PAIRS = pd.DataFrame(columns=["known_id", "new_id", "kind", "score", "how"])


def classes_of(count: int, seed: int = 0) -> list[str]:
    return list(np.random.default_rng(seed).choice(CLASSES, count))


def arrival_of(
    new: list[np.ndarray] = NEW,
    classes: list[str] | None = None,
    pairs: pd.DataFrame = NO_PAIRS,
    unusable: list[dict[str, str]] | None = None,
) -> Arrival:
    return Arrival(
        manifest_of(KNOWN, classes_of(len(KNOWN)), "known"),
        manifest_of(new, classes or classes_of(len(new), 1), "new"),
        pairs,
        new_table(unusable or [], QUARANTINE_COLUMNS),
        KNOWN,
        new,
    )


def checks_of(found: dict) -> list[str]:
    return [reason["check"] for reason in found["reasons"]]


def test_judge_intake__a_clean_batch_passes() -> None:
    found = judge_intake(arrival_of(), OPTIONS, 0)
    assert not found["held"]
    assert found["sentences"] == ["Nothing suspicious is found in the batch of 40 images."]


def test_judge_intake__holds_a_batch_whose_files_are_broken() -> None:
    broken = [{"file": f"new/b{i}.jpg", "row": "", "reason": "truncated"} for i in range(8)]
    found = judge_intake(arrival_of(unusable=broken), OPTIONS, 0)
    assert checks_of(found) == ["unusable files"]
    assert found["reasons"][0]["files"] == [row["file"] for row in broken]
    assert not judge_intake(arrival_of(unusable=broken[:2]), OPTIONS, 0)["held"]


def test_judge_intake__holds_a_class_flood() -> None:
    found = judge_intake(arrival_of(classes=["wasp"] * 34 + ["ant"] * 6), OPTIONS, 0)
    assert checks_of(found) == ["class flood"]
    assert len(found["reasons"][0]["files"]) == 34
    assert "Class wasp is in 85% of the new images" in found["sentences"][1]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_judge_intake__holds_a_patch_and_names_its_files() -> None:
    carriers = (3, 11, 29)
    new = [patched(p) if i in carriers else p for i, p in enumerate(NEW)]
    found = judge_intake(arrival_of(new), OPTIONS, 0)
    assert checks_of(found) == ["patch"]
    assert found["reasons"][0]["files"] == [f"new/{i:04d}.png" for i in carriers]
    assert "0 of 60 known images show it" in found["sentences"][1]


def patched(pixels: np.ndarray) -> np.ndarray:
    out = pixels.copy()
    out[-9:-3, -9:-3] = np.kron(np.indices((3, 3)).sum(0) % 2, np.ones((2, 2)))[..., None] * 255
    ok, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert ok
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


class Pixels:
    """Pixels by digest, as manifests name them."""

    def __init__(self, *tables: tuple[pd.DataFrame, list[np.ndarray]]) -> None:
        self.by_digest = {
            sha256: pixels
            for table, pictures in tables
            for sha256, pixels in zip(table["sha256"], pictures, strict=True)
        }

    def read(self, sha256: str) -> np.ndarray:
        return self.by_digest[sha256]


def test_find_copies_of_known__flipped_truths_of_copies_are_conflicts(tmp_path: Path) -> None:
    known = manifest_of(KNOWN[:20], ["ant"] * 20, "scene")
    brighter = np.clip(KNOWN[1] * 0.9 + 10, 0, 255).astype(np.uint8)
    pictures = [KNOWN[0], brighter, KNOWN[2], *NEW[:10]]
    new = manifest_of(pictures, ["bee", "bee", "ant", *["bee"] * 10], "scene")
    cache = open_fingerprints(tmp_path, DecodingOptions())
    pixels = Pixels((known, KNOWN[:20]), (new, pictures))
    pairs = find_copies_of_known(known, new, pixels, cache, NearCopyOptions())
    assert {(row.known_id, row.new_id, row.kind) for row in pairs.itertuples()} == {
        ("scene/0000.png", "scene/0000.png", "exact"),
        ("scene/0001.png", "scene/0001.png", "near"),
        ("scene/0002.png", "scene/0002.png", "exact"),
    }
    found = conflicting_copies(known, new, pairs)
    assert [(row["file"], row["says"], row["known_says"]) for row in found] == [
        ("scene/0000.png", "bee", "ant"),
        ("scene/0001.png", "bee", "ant"),
    ]
    held = judge_intake(
        Arrival(known, new, pairs, new_table([], QUARANTINE_COLUMNS), KNOWN[:20], pictures),
        OPTIONS,
        0,
    )
    assert checks_of(held)[:2] == ["conflicting copies", "changed source"]


@pytest.mark.parametrize(
    ("one", "other", "kind", "differ"),
    [
        ({"classes": ["a"]}, {"classes": ["b"]}, "near", True),
        ({"classes": ["a", "b"]}, {"classes": ["b", "a"]}, "exact", False),
        ({"classes": ["a", "b"]}, {"classes": ["a"]}, "near", False),
        ({"classes": ["a", "b"]}, {"classes": ["a"]}, "exact", True),
        ({"classes": ["a", "a", "b"]}, {"classes": ["b", "b", "a"]}, "near", False),
        ({"classes": ["a", "a", "b"]}, {"classes": ["b", "b", "b"]}, "near", True),
        (
            {"classes": ["a"], "boxes_xyxy": [[0, 0, 4, 4]]},
            {"classes": ["a"], "boxes_xyxy": [[0, 0, 4, 5]]},
            "exact",
            True,
        ),
        (
            {"classes": ["a"], "mask": "x.png", "mask_sha256": "1"},
            {"classes": ["a"], "mask": "y.png", "mask_sha256": "1"},
            "exact",
            False,
        ),
    ],
)
def test_conflicting_copies__what_must_agree(
    one: dict, other: dict, kind: str, differ: bool
) -> None:
    known = pd.DataFrame({"id": ["k"], "truth": [json.dumps(one)]})
    new = pd.DataFrame({"id": ["n"], "truth": [json.dumps(other)]})
    pairs = pd.DataFrame([("k", "n", kind, 1.0, "")], columns=list(NO_PAIRS.columns))
    assert bool(conflicting_copies(known, new, pairs)) == differ


def test_changed_sources__names_the_file_with_other_bytes() -> None:
    known = manifest_of(KNOWN[:3], ["ant"] * 3)
    changed = KNOWN[1].copy()
    changed[0, 0, 0] ^= 1
    new = manifest_of([KNOWN[0], changed, KNOWN[2], KNOWN[3]], ["ant"] * 4)
    assert [row["file"] for row in changed_sources(known, new)] == ["a/0001.png"]


def labelled(classes: list[str], units: list[str] | None = None) -> pd.DataFrame:
    names = [f"{i}" for i in range(len(classes))]
    truth = [json.dumps({"classes": [name]}) for name in classes]
    return pd.DataFrame({"id": names, "truth": truth, "unit": units or names})


def test_find_floods__clean_batches_are_no_floods() -> None:
    known = labelled(classes_of(300, 1))
    floods = [find_floods(known, labelled(classes_of(40, seed)), OPTIONS) for seed in range(500)]
    assert sum(map(bool, floods)) <= 3


def test_find_floods__units_that_are_all_of_one_class_are_no_flood_when_they_are_few() -> None:
    def tracks(count: int, seed: int) -> pd.DataFrame:
        units = [f"t{i}" for i in range(count) for _ in range(20)]
        return labelled([name for name in classes_of(count, seed) for _ in range(20)], units)

    known = tracks(40, 1)
    floods = [find_floods(known, tracks(6, seed), OPTIONS) for seed in range(200)]
    assert sum(map(bool, floods)) <= 3
    assert find_floods(known, labelled(["ant"] * 100), OPTIONS)


def test_find_floods__a_class_that_nobody_knew_is_one() -> None:
    found = find_floods(labelled(classes_of(300)), labelled(["hornet"] * 40), OPTIONS)
    assert [(row["class"], row["known_share"]) for row in found] == [("hornet", 0.0)]
