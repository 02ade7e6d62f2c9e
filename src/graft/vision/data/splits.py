"""Who trains, who tunes, who judges: splits that cannot leak.

What must stay together is a unit: images of one group, and near-copies, joined. A unit is
assigned by a digest of its name, class by class, so that new images do not reshuffle old ones.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from graft.vision.data.near_copies import connect
from graft.vision.data.options import SplitOptions
from graft.vision.errors import DataError
from graft.vision.records import SPLIT_COLUMNS, SPLITS, digest_text

LEAK_COLUMNS = ["id", "given_split", "other_id", "other_split", "why", "action"]


@dataclass
class Splitting:
    """``split_manifest`` (SPLIT_COLUMNS), ``leaks`` (LEAK_COLUMNS), and what should be known."""

    split_manifest: pd.DataFrame
    leaks: pd.DataFrame
    findings: list[str]


def split_manifest(manifest: pd.DataFrame, pairs: pd.DataFrame, options: SplitOptions) -> Splitting:
    """Assign every image to train, val or test; a unit never stands on two sides.

    A given split is kept unless it leaks: test is sacred, so the other side's image is withheld
    and named. A data set with train and val only is judged on its val, and tuned on a part of its
    train.

    Raises:
        DataError: when too much would have to be withheld, or too few classes are left to learn.
    """
    rows = manifest.sort_values("id", kind="stable").reset_index(drop=True)
    clusters = connect(list(rows["id"]), zip(pairs["id_a"], pairs["id_b"], strict=True))
    rows["cluster"] = [clusters[name] for name in rows["id"]]
    units = units_of(rows)
    findings: list[str] = []
    given = _given(rows, options, findings)
    withheld: list[dict[str, str]] = []
    if given is None:
        split = _assign(rows, units, {"test": options.test_share}, options.seed, "train")
        learning = [s == "train" for s in split]
    else:
        split, withheld = _keep_given(rows, units, given, pairs, options)
        learning = [s == "train" for s in split]
    if "val" not in split:
        chosen = rows[learning]
        names = [units[i] for i in chosen.index]
        tuned = _assign(chosen, names, {"val": options.val_share}, options.seed + 1, "train")
        for i, name in zip(chosen.index, tuned, strict=True):
            split[i] = name
    rows["split"] = split
    kept = rows[rows["split"] != ""].reset_index(drop=True)
    findings += _check_classes(kept)
    leaks = pd.DataFrame(withheld, columns=LEAK_COLUMNS)
    if len(leaks):
        findings.append(
            f"{len(leaks)} images of the given split leak and are withheld from training"
        )
    return Splitting(kept[list(SPLIT_COLUMNS)], leaks, findings)


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
    rows: pd.DataFrame,
    units: list[str],
    given: list[str],
    pairs: pd.DataFrame,
    options: SplitOptions,
) -> tuple[list[str], list[dict[str, str]]]:
    """Withhold what stands on two sides: for test's sake from train and val, then for val's."""
    sides: dict[str, set[str]] = {}
    for unit, side in zip(units, given, strict=True):
        sides.setdefault(unit, set()).add(side)
    stays = {
        unit: next(split for split in ("test", "val", "train") if split in found)
        for unit, found in sides.items()
    }
    split = [
        str(name) if stays[unit] == name else "" for unit, name in zip(units, given, strict=True)
    ]
    lost = [i for i, name in enumerate(split) if not name]
    learning = sum(name != "test" for name in given)
    if lost and len(lost) / learning > options.withheld_share_max:
        raise DataError(
            "the given split leaks too much to be kept",
            found=f"{len(lost)} of {learning} images to learn from stand with images that judge",
            allowed=f"a share of {options.withheld_share_max:g} "
            "(ingestion.split.withheld_share_max)",
            mend="set ingestion.split.keep_given to false for a new split, or raise the share",
        )
    return split, [_leak(rows, units, given, stays, pairs, i) for i in lost]


def _leak(
    rows: pd.DataFrame,
    units: list[str],
    given: list[str],
    stays: Mapping[str, str],
    pairs: pd.DataFrame,
    i: int,
) -> dict[str, str]:
    """Name the image, the one it stands with on the other side, and why."""
    side = stays[units[i]]
    others = {
        rows["id"][j] for j, unit in enumerate(units) if unit == units[i] and given[j] == side
    }
    name = rows["id"][i]
    direct = pairs[
        ((pairs["id_a"] == name) & pairs["id_b"].isin(others))
        | ((pairs["id_b"] == name) & pairs["id_a"].isin(others))
    ]
    if len(direct):
        pair = direct.iloc[0]
        other = pair["id_b"] if pair["id_a"] == name else pair["id_a"]
        why = f"{pair['kind']} copy ({pair['how']})"
    else:
        other, why = min(others), "the same group or a chain of copies"
    return {
        "id": name,
        "given_split": given[i],
        "other_id": other,
        "other_split": side,
        "why": why,
        "action": f"withheld from {given[i]}",
    }


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
