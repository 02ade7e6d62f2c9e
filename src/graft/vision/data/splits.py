"""Who trains, who tunes, who judges: splits that cannot leak.

What must stay together is a unit: images of one group, and near-copies, joined. A unit is
assigned by a digest of its name, class by class, so that new images do not reshuffle old ones.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from graft.vision.data.near_copies import connect
from graft.vision.data.options import SplitOptions
from graft.vision.data.standing_splits import (
    GIVEN,
    LEAK_COLUMNS,
    PARENT,
    Leak,
    Placing,
    keep_sides,
    leak_findings,
    moved_findings,
    sides_stood,
    withhold_learned,
)
from graft.vision.errors import DataError
from graft.vision.records import SPLIT_COLUMNS, SPLITS, digest_text


@dataclass
class Splitting:
    """``split_manifest`` (SPLIT_COLUMNS), ``leaks`` (LEAK_COLUMNS), and what should be known."""

    split_manifest: pd.DataFrame
    leaks: pd.DataFrame
    findings: list[str]


def split_manifest(
    manifest: pd.DataFrame,
    pairs: pd.DataFrame,
    options: SplitOptions,
    standing: pd.DataFrame | None = None,
) -> Splitting:
    """Assign every image to train, val or test; a unit never stands on two sides.

    A given split is kept unless it leaks: test is sacred, so the other side's image is withheld
    and named. A data set with train and val only is judged on its val, and tuned on a part of its
    train.

    Where a parent knew images (``standing``), they keep their side, so that test only grows and a
    model that starts from the parent's weights has not learned from what judges it; units that
    stand nowhere are drawn among themselves by the same shares, so that new images judge too. A
    given split wins over the parent's, but for test images of which the parent has learned: these
    are withheld (see `withhold_learned`). What the parent knew and the manifest lacks is gone.

    Args:
        standing: ``id``, ``sha256`` and ``split`` of what the parent knew.

    Raises:
        DataError: when too much would have to be withheld, or too few classes are left to learn.
    """
    rows = manifest.sort_values("id", kind="stable").reset_index(drop=True)
    clusters = connect(list(rows["id"]), zip(pairs["id_a"], pairs["id_b"], strict=True))
    rows["cluster"] = [clusters[name] for name in rows["id"]]
    findings: list[str] = []
    placing = Placing(rows, units_of(rows), sides_stood(rows, standing), pairs, options)
    given = _given(rows, options, findings)
    if given is None:
        split, leaks = _stand_or_draw(placing, ("test", "val"))
    else:
        split, leaks = _keep_given(placing, given, findings)
    rows["split"] = split
    kept = rows[rows["split"] != ""].reset_index(drop=True)
    findings += _check_classes(kept)
    findings += leak_findings(leaks, PARENT if given is None else GIVEN)
    return Splitting(kept[list(SPLIT_COLUMNS)], pd.DataFrame(leaks, columns=LEAK_COLUMNS), findings)


def class_table_of(split_manifest: pd.DataFrame, *, exclusive: bool) -> dict[str, Any]:
    """The classes of the training images, by name: ``{"names": [...], "exclusive": bool}``."""
    train = split_manifest[split_manifest["split"] == "train"]
    names = sorted({name for text in train["truth"] for name in classes_of(text)})
    return {"names": names, "exclusive": exclusive}


def classes_of(truth: str) -> list[str]:
    """The class names in a truth text."""
    return list(json.loads(truth)["classes"])


def units_of(rows: pd.DataFrame) -> list[str]:
    """For each row the name of what it must stay with: group and cluster, joined."""
    names = [f"cluster {name}" for name in rows["cluster"]]
    links = [
        (f"cluster {cluster}", f"group {group}")
        for cluster, group in zip(rows["cluster"], rows["group"], strict=True)
        if group
    ]
    joined = connect(sorted({*names, *(group for _, group in links)}), iter(links))
    return [joined[name] for name in names]


def _given(rows: pd.DataFrame, options: SplitOptions, findings: list[str]) -> list[str] | None:
    """The given split in our words, or None where there is none to keep."""
    given = list(rows["given_split"])
    present = {name for name in given if name}
    if not options.keep_given or "train" not in present or len(present) < 2:
        if present and options.keep_given:
            findings.append(f"a given split of {sorted(present)} only is not used")
        return None
    if "" in given:
        raise DataError(
            f"{given.count('')} of {len(given)} images have no given split, the others have",
            allowed="a split for every image, or for none",
            mend="complete the split, or set ingestion.split.keep_given to false",
        )
    if "test" not in present:
        findings.append("the given split has no test: its val judges, and val is drawn from train")
        given = ["test" if name == "val" else name for name in given]
    return given


def _keep_given(
    placing: Placing, given: Sequence[str], findings: list[str]
) -> tuple[list[str], list[Leak]]:
    """A side per row, empty where withheld; val is a part of train where none is given."""
    leaks = withhold_learned(placing, given)
    learned = {leak["id"] for leak in leaks}
    places = [i for i, name in enumerate(placing.rows["id"]) if name not in learned]
    left = placing.part(places)
    kept = keep_sides(left, [given[i] for i in places], GIVEN)
    split, leaks = list(kept.split), [*leaks, *kept.leaks]
    if "val" not in split:
        learning = [i for i, side in enumerate(split) if side == "train"]
        tuned, more = _stand_or_draw(left.part(learning).learning(), ("val",))
        leaks += more
        for i, side in zip(learning, tuned, strict=True):
            split[i] = side
    findings += moved_findings(left.stood, split)
    by_place = dict(zip(places, split, strict=True))
    return [by_place.get(i, "") for i in range(len(given))], leaks


def _stand_or_draw(placing: Placing, names: Sequence[str]) -> tuple[list[str], list[Leak]]:
    """A side per row: that on which its unit stood, or one drawn; empty where withheld."""
    kept = keep_sides(placing, placing.stood, PARENT)
    split = list(kept.split)
    for i, side in zip(kept.fresh, _draw_sides(placing.part(kept.fresh), names), strict=True):
        split[i] = side
    return split, kept.leaks


def _draw_sides(placing: Placing, names: Sequence[str]) -> list[str]:
    """Draw test, or val, or both: each its share of what is left to train."""
    options, split = placing.options, ["train"] * len(placing.units)
    shares = {
        "test": (options.test_share, options.seed),
        "val": (options.val_share, options.seed + 1),
    }
    for name in names:
        share, seed = shares[name]
        left = [i for i, side in enumerate(split) if side == "train"]
        part = placing.part(left)
        drawn = _assign(part.rows, part.units, {name: share}, seed, "train")
        for i, side in zip(left, drawn, strict=True):
            split[i] = side
    return split


def _assign(
    rows: pd.DataFrame, units: list[str], shares: Mapping[str, float], seed: int, rest: str
) -> list[str]:
    """Give each share its part of every class, unit by unit, in the order of their digests."""
    members: dict[str, list[int]] = {}
    for place, unit in enumerate(units):
        members.setdefault(unit, []).append(place)
    classes = [classes_of(text) for text in rows["truth"]]
    counted = Counter(name for found in classes for name in found)
    strata: dict[str, list[str]] = {}
    for unit, places in members.items():
        names = {name for place in places for name in classes[place]}
        # A unit of several classes counts to the one that is rarest of all: it needs it most.
        stratum = min(names, key=lambda name: (counted[name], name), default="")
        strata.setdefault(stratum, []).append(unit)
    split = [rest] * len(units)
    for name, share in shares.items():
        carried = 0.0
        for stratum in sorted(strata, key=lambda stratum: digest_text(f"{seed} {stratum}")):
            wanted = share * sum(len(members[unit]) for unit in strata[stratum]) + carried
            chosen = _draw(strata[stratum], members, wanted, seed, needed=name == "test")
            carried = wanted - sum(len(members[unit]) for unit in chosen)
            for place in (place for unit in chosen for place in members[unit]):
                split[place] = name
    _return_unlearned(split, members, classes, rest, seed)
    return split


def _return_unlearned(
    split: list[str],
    members: Mapping[str, list[int]],
    classes: list[list[str]],
    rest: str,
    seed: int,
) -> None:
    """Give units back to the rest where it lost a class: one of several in an image or a group,
    all of whose units were drawn for the sake of others."""
    learned = {name for i, side in enumerate(split) if side == rest for name in classes[i]}
    for unit in sorted(members, key=lambda unit: digest_text(f"{seed} {unit}")):
        names = {name for place in members[unit] for name in classes[place]}
        if not names <= learned:
            learned |= names
            for place in members[unit]:
                split[place] = rest


def _draw(
    units: list[str], members: Mapping[str, list[int]], wanted: float, seed: int, *, needed: bool
) -> list[str]:
    """Units by digest while they bring the count nearer to what is wanted; never all of them.

    What is missing or over is carried to the next class: where units are large (tracks of 30
    frames), not every class can give one to val. ``needed`` takes one of every class that has two.
    """
    order = sorted(units, key=lambda unit: digest_text(f"{seed} {unit}"))
    chosen: list[str] = []
    count = 0
    for unit in order:
        size = len(members[unit])
        nearer = abs(count + size - wanted) < abs(count - wanted)
        if len(chosen) < len(order) - 1 and (nearer or (needed and not chosen)):
            chosen.append(unit)
            count += size
    return chosen


def _check_classes(rows: pd.DataFrame) -> list[str]:
    """Say which classes are thin. Raises `DataError` when too few can be learned."""
    counts = {
        split: Counter(
            name for text in rows[rows["split"] == split]["truth"] for name in classes_of(text)
        )
        for split in SPLITS
    }
    boxes = "boxes_xyxy" in json.loads(rows["truth"].iloc[0])
    if len(counts["train"]) < (1 if boxes else 2):
        raise DataError(
            f"fewer than {'one class' if boxes else 'two classes'} are left to learn",
            found=f"{dict(counts['train'])} in train",
            mend="add images of another class, or check the layout in ingestion.source",
        )
    everywhere = sorted({name for split in counts.values() for name in split})
    findings = []
    for split in ("test", "val"):
        absent = [name for name in everywhere if name not in counts[split]]
        if absent:
            findings.append(f"{split} has no image of {len(absent)} classes: {_some(absent)}")
    unlearned = [name for name in everywhere if name not in counts["train"]]
    if unlearned:
        raise DataError(
            "classes are judged that cannot be learned",
            found=f"no training image of {_some(unlearned)}",
            mend="add training images of them, or take their images out",
        )
    single = [name for name in everywhere if sum(c[name] for c in counts.values()) == 1]
    if single:
        raise DataError(
            f"there is one image only of {_some(single)}",
            found="nothing that could judge what was learned of it",
            allowed="two images or more of each class, which may stand apart",
            mend="add images of it, or take its image out",
        )
    return findings


def _some(names: Iterable[str], most: int = 5) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
