"""Sides that stand already: of a given split, or those on which a parent model knew its images.

What a standing side says is kept for whole units (see `graft.vision.data.splits.units_of`). Of a
unit that stands on two sides the images on one of them stay, and the others are withheld and
named.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from graft.vision.data.options import SplitOptions
from graft.vision.errors import DataError
from graft.vision.records import check_table

LEAK_COLUMNS = ["id", "given_split", "other_id", "other_split", "why", "action"]
SACRED_FIRST = ("test", "val", "train")
"""Whose images stay where a unit stands on several sides."""

JUDGES_NOT = "withheld from test"

Leak = dict[str, str]


@dataclass(frozen=True)
class Whose:
    """Whose split it is, and what to do where too little of it can be kept."""

    name: str
    mend: str


GIVEN = Whose("the given split", "set ingestion.split.keep_given to false for a new split")
PARENT = Whose("the parent's split", "train without a parent")


@dataclass(frozen=True)
class Placing:
    """What sides are decided from: rows, the unit of each, and the side on which a parent knew it
    (empty where it did not)."""

    rows: pd.DataFrame
    units: list[str]
    stood: list[str]
    pairs: pd.DataFrame
    options: SplitOptions

    def part(self, places: Sequence[int]) -> "Placing":
        """The same of these rows alone."""
        units, stood = ([column[i] for i in places] for column in (self.units, self.stood))
        rows = self.rows.iloc[list(places)].reset_index(drop=True)
        return replace(self, rows=rows, units=units, stood=stood)

    def learning(self) -> "Placing":
        """The same, where nobody is known to have judged."""
        return replace(self, stood=["" if side == "test" else side for side in self.stood])


@dataclass(frozen=True)
class Kept:
    """A side per row, empty for what is withheld (named in ``leaks``) and for what is ``fresh``:
    rows of units that stand nowhere yet."""

    split: list[str]
    fresh: list[int]
    leaks: list[Leak]


def standing_of(parent: Any) -> pd.DataFrame | None:
    """What a parent knew, as its ``split_manifest`` says; None where there is no parent."""
    return None if parent is None else parent.split_manifest


def sides_stood(rows: pd.DataFrame, standing: pd.DataFrame | None) -> list[str]:
    """For each row the side on which the parent knew it; empty for what it did not know.

    A row is known by its bytes, and where these are new by its id: a changed image keeps the side
    of its id. Bytes come first, so that files that exchange their names do not bring to test what
    was learned from. Where the table names an image twice, its first row counts.

    Raises:
        DataError: when the table lacks ``id``, ``sha256`` or ``split``.
    """
    if standing is None:
        return [""] * len(rows)
    check_table(standing, dict.fromkeys(("id", "sha256", "split"), ""), "the parent's split")
    own, by_content, by_id = (
        standing.drop_duplicates(names).set_index(names)["split"].to_dict()
        for names in (["id", "sha256"], "sha256", "id")
    )
    return [
        str(own.get((name, sha256)) or by_content.get(sha256) or by_id.get(name, ""))
        for name, sha256 in zip(rows["id"], rows["sha256"], strict=True)
    ]


def keep_sides(placing: Placing, sides: Sequence[str], whose: Whose) -> Kept:
    """Keep each unit on its side; for test's sake withhold from train and val, then for val's.

    An image without a side takes that of its unit. Where its unit stands on two, it resembles what
    is learned from and what judges, and is withheld too.

    Raises:
        DataError: when too much would have to be withheld.
    """
    units, found = placing.units, dict[str, set[str]]()
    for unit, side in zip(units, sides, strict=True):
        found.setdefault(unit, set()).update({side} - {""})
    stays = {unit: min(known, key=SACRED_FIRST.index) for unit, known in found.items() if known}
    joined = [
        side or (stays[unit] if len(found[unit]) == 1 else "")
        for unit, side in zip(units, sides, strict=True)
    ]
    lost = [i for i, unit in enumerate(units) if unit in stays and joined[i] != stays[unit]]
    learning = sum(side not in ("", "test") for side in joined)
    _refuse_too_many(len(lost), learning, placing.options.withheld_share_max, whose)
    split = [
        side if stays.get(unit) == side else "" for unit, side in zip(units, joined, strict=True)
    ]
    fresh = [i for i, unit in enumerate(units) if unit not in stays]
    return Kept(split, fresh, [_leak(placing, joined, stays, i) for i in lost])


def withhold_learned(placing: Placing, given: Sequence[str]) -> list[Leak]:
    """The images of a given test of which a parent learned: they and their copies cannot judge.

    A model that starts from the parent's weights has learned from what the parent was trained or
    tuned on, whatever its own split says. A given split decides who judges, and cannot undo that:
    a score over such images would be about memory, and a comparison with the parent would be
    blocked. So they are withheld from test. They are not learned from either: their given side
    says that they are there to judge, in later runs without this parent too.

    Raises:
        DataError: when too much of the given test would have to be withheld.
    """
    sides = [side if side in ("train", "val") else "" for side in placing.stood]
    stays = {unit: side for unit, side in zip(placing.units, sides, strict=True) if side}
    lost = [
        i
        for i, (unit, side) in enumerate(zip(placing.units, given, strict=True))
        if side == "test" and unit in stays
    ]
    judging, share = list(given).count("test"), placing.options.withheld_share_max
    if lost and len(lost) / judging > share:
        raise DataError(
            "the parent has learned from too much of the given test",
            found=f"{len(lost)} of {judging} test images, or copies of them",
            allowed=f"a share of {share:g} (ingestion.split.withheld_share_max)",
            mend="train without a parent, from one that has not seen them, or raise the share",
        )
    return [_learned(placing, i, sides[i], _leak(placing, sides, stays, i)) for i in lost]


def moved_findings(stood: Sequence[str], split: Sequence[str]) -> list[str]:
    """A sentence where a given split moves what the parent knew to another side."""
    moves = Counter(
        f"from {before} to {now}"
        for before, now in zip(stood, split, strict=True)
        if before and now and before != now
    )
    said = ", ".join(f"{count} {move}" for move, count in sorted(moves.items()))
    what = "the given split moves images from where the parent knew them"
    return [f"{what}: {said}"] if moves else []


def leak_findings(leaks: Sequence[Leak], whose: Whose) -> list[str]:
    """How many images are withheld, and why."""
    judging = sum(leak["action"] == JUDGES_NOT for leak in leaks)
    learning = len(leaks) - judging
    findings = []
    if learning:
        findings.append(f"{learning} images of {whose.name} leak and are withheld from training")
    if judging:
        findings.append(
            f"{judging} images of the given test, or copies of them, are known to the parent from "
            "its training and are withheld"
        )
    return findings


def _refuse_too_many(lost: int, learning: int, share: float, whose: Whose) -> None:
    if lost and lost / max(1, learning) > share:
        raise DataError(
            f"{whose.name} leaks too much to be kept",
            found=f"{lost} of {learning} images to learn from stand with images that judge",
            allowed=f"a share of {share:g} (ingestion.split.withheld_share_max)",
            mend=f"{whose.mend}, or raise the share",
        )


def _learned(placing: Placing, i: int, stood: str, leak: Leak) -> Leak:
    """The leak of a given test image: the image itself is named where the parent knew it so."""
    leak |= {"given_split": "test", "action": JUDGES_NOT}
    if stood:
        why = "the parent has learned from it"
        leak |= {"other_id": placing.rows["id"][i], "other_split": stood, "why": why}
    return leak


def _leak(placing: Placing, sides: Sequence[str], stays: Mapping[str, str], i: int) -> Leak:
    """Name the image, the one it stands with on the other side, and why."""
    ids, units, pairs = placing.rows["id"], placing.units, placing.pairs
    side, name = stays[units[i]], ids[i]
    others = {ids[j] for j, unit in enumerate(units) if unit == units[i] and sides[j] == side}
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
        "given_split": sides[i],
        "other_id": other,
        "other_split": side,
        "why": why,
        "action": f"withheld from {sides[i]}" if sides[i] else "withheld",
    }
