"""Splits beside a parent: what it knew keeps its side, and what it learned from never judges."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_splits import GIVEN, PLAIN, manifest_of, pairs_of, sides_of, units_by_graph

from graft.vision.data.options import SplitOptions
from graft.vision.data.splits import Splitting, split_manifest
from graft.vision.errors import DataError
from graft.vision.records import SPLITS

LOOSE = SplitOptions(withheld_share_max=1.0)


def known_by_content(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with bytes of their own."""
    return rows.assign(sha256=[f"bytes of {name}" for name in rows["id"]])


def table_of(**sides: str) -> pd.DataFrame:
    """A parent's split by id; its bytes are those of `known_by_content`."""
    rows = [(name, f"bytes of {name}", side) for name, side in sides.items()]
    return pd.DataFrame(rows, columns=["id", "sha256", "split"])


def withheld_of(splitting: Splitting) -> set[str]:
    return set(splitting.leaks["id"])


@st.composite
def cases(draw) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, SplitOptions]:
    """A manifest, pairs, and a parent's split of any part of it, some of it renamed or changed."""
    count = draw(st.integers(4, 30))
    names = st.sampled_from(["a", "b", "c"])
    classes = draw(st.lists(names, min_size=count, max_size=count))
    groups = draw(
        st.lists(st.sampled_from(["", "", "", "g", "h", "k"]), min_size=count, max_size=count)
    )
    given_split = draw(
        st.one_of(
            st.just([""] * count),
            st.lists(st.sampled_from(SPLITS), min_size=count, max_size=count),
        )
    )
    number = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(number, number).filter(lambda p: p[0] != p[1]), max_size=8))
    rows = known_by_content(manifest_of(classes, groups, given_split))
    sides = draw(st.lists(st.sampled_from(["", *SPLITS]), min_size=count, max_size=count))
    fates = draw(
        st.lists(st.sampled_from(["same", "renamed", "changed"]), min_size=count, max_size=count)
    )
    standing = rows.assign(split=sides)[["id", "sha256", "split"]]
    standing["id"] = [
        f"was {name}" if fate == "renamed" else name
        for name, fate in zip(rows["id"], fates, strict=True)
    ]
    standing["sha256"] = [
        f"other {sha}" if fate == "changed" else sha
        for sha, fate in zip(rows["sha256"], fates, strict=True)
    ]
    gone = table_of(gone="test", lost="train")
    standing = pd.concat([standing[standing["split"] != ""], gone], ignore_index=True)
    options = SplitOptions(seed=draw(st.integers(0, 3)), withheld_share_max=1.0)
    return rows, pairs_of(*pairs), standing.sample(frac=1, random_state=0), options


def stood(rows: pd.DataFrame, standing: pd.DataFrame) -> dict[str, str]:
    """The side of each image that the parent knew, by bytes or by name."""
    by = {key: dict(zip(standing[key], standing["split"], strict=True)) for key in ("sha256", "id")}
    sides = {
        row.id: by["sha256"].get(row.sha256, by["id"].get(row.id)) for row in rows.itertuples()
    }
    return {name: side for name, side in sides.items() if side}


@settings(max_examples=400, deadline=None)
@given(cases())
def test_split__beside_a_parent_keeps_sides_and_units_and_never_judges_by_what_it_learned(
    case,
) -> None:
    rows, pairs, standing, options = case
    try:
        splitting = split_manifest(rows, pairs, options, standing)
    except DataError as error:
        assert str(error)
        return
    side, known = sides_of(splitting), stood(rows, standing)
    assert set(rows["id"]) - set(side) == withheld_of(splitting)
    units: dict[int, list[str]] = {}
    for name, unit in zip(rows["id"], units_by_graph(rows, pairs), strict=True):
        units.setdefault(unit, []).append(name)
    for members in units.values():
        present = {side[name] for name in members if name in side}
        assert len(present) <= 1
        # What judges beside a copy that the parent learned from has judged the parent too.
        if {known.get(name) for name in members} & {"train", "val"} and present == {"test"}:
            assert {known.get(name) for name in members if name in side} == {"test"}
    if not rows["given_split"].iloc[0] or rows["given_split"].nunique() < 2:
        assert all(side.get(name, was) == was for name, was in known.items())


@settings(max_examples=100, deadline=None)
@given(cases())
def test_split__beside_a_parent_is_the_same_in_any_order(case) -> None:
    rows, pairs, standing, options = case
    try:
        first = split_manifest(rows, pairs, options, standing)
    except DataError:
        return
    again = split_manifest(rows.iloc[::-1], pairs.iloc[::-1], options, standing.iloc[::-1])
    assert sides_of(again) == sides_of(first)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=2, max_size=4),
    more=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    seed=st.integers(0, 5),
)
def test_split__grows_the_test_set_by_each_class_of_a_new_batch(sizes, more, seed) -> None:
    names = [f"c{n}" for n in range(len(sizes))]
    old = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    new = [name for name, size in zip(names, more, strict=False) for _ in range(size)]
    options = SplitOptions(seed=seed)
    first = split_manifest(known_by_content(manifest_of(old)), pairs_of(), options)
    rows = known_by_content(manifest_of(old + new))
    second = split_manifest(rows, pairs_of(), options, first.split_manifest)
    before, after = sides_of(first), sides_of(second)
    assert {name: after[name] for name in before} == before
    added = rows[~rows["id"].isin(before)]
    judged = [
        json.loads(t)["classes"][0] for t in added.loc[added["id"].map(after) == "test", "truth"]
    ]
    for name, size in zip(names, more, strict=False):
        assert size < 2 or judged.count(name) >= max(1, round(0.2 * size) - 1)
    third = split_manifest(rows, pairs_of(), options, second.split_manifest)
    assert sides_of(third) == after and third.leaks.empty


def test_split__without_a_parent_is_as_before() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 20))
    plain, none = (split_manifest(rows, pairs_of(), PLAIN, *more) for more in ((), (None,)))
    pd.testing.assert_frame_equal(plain.split_manifest, none.split_manifest)


def test_split__lets_new_copies_join_the_side_of_what_the_parent_knew() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 10))
    standing = table_of(i000="test", i001="val", i002="train", i003="train")
    side = sides_of(split_manifest(rows, pairs_of((0, 10), (1, 11), (2, 12)), PLAIN, standing))
    assert [side[name] for name in ("i010", "i011", "i012")] == ["test", "val", "train"]


def test_split__withholds_what_links_two_sides_of_a_parent_and_names_it() -> None:
    """i009 resembles an image that was learned from and one that judges: it can do neither."""
    rows = known_by_content(manifest_of(["a", "b"] * 10))
    standing = table_of(i000="test", i001="test", i002="train", i003="train", i004="val")
    splitting = split_manifest(rows, pairs_of((2, 9), (9, 0)), LOOSE, standing)
    assert withheld_of(splitting) == {"i002", "i009"}
    leaks = splitting.leaks.set_index("id")
    assert leaks.loc["i002", "action"] == "withheld from train"
    assert leaks.loc["i002", "other_id"] == leaks.loc["i009", "other_id"] == "i000"
    assert leaks.loc["i009", "why"] == "near copy (planted)"
    assert leaks.loc["i009", "given_split"] == "" and leaks.loc["i009", "action"] == "withheld"
    assert any("2 images of the parent's split leak" in text for text in splitting.findings)
    with pytest.raises(DataError, match=r"parent's split leaks too much.*train without a parent"):
        split_manifest(rows, pairs_of((2, 9), (9, 0), (3, 1)), PLAIN, standing)


def test_split__knows_an_image_by_its_bytes_and_a_changed_one_by_its_name() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 10))
    standing = table_of(i000="test", i001="train", i002="val", i003="train")
    standing.loc[standing["id"] == "i002", "sha256"] = "what it was before"
    standing.loc[standing["id"] == "i003", "id"] = "an older name"
    names = {"i000": "i001", "i001": "i000"}  # the two files have exchanged their names
    rows["sha256"] = [f"bytes of {names.get(name, name)}" for name in rows["id"]]
    side = sides_of(split_manifest(rows, pairs_of(), PLAIN, standing))
    assert [side[f"i00{n}"] for n in range(4)] == ["train", "test", "val", "train"]


def test_split__of_a_parent_must_say_what_is_needed() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 10))
    with pytest.raises(DataError, match="the parent's split lacks columns"):
        split_manifest(rows, pairs_of(), PLAIN, table_of(i000="test")[["id", "split"]])


# --- beside a given split ------------------------------------------------------------------------


def test_split__withholds_from_a_given_test_what_the_parent_learned_from() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 10, given=GIVEN))
    standing = table_of(i016="train", i003="val", i000="train", i017="test", i001="test")
    splitting = split_manifest(rows, pairs_of((3, 18)), LOOSE, standing)
    side = sides_of(splitting)
    assert {name for name, found in side.items() if found == "test"} == {"i017", "i019"}
    assert side["i003"] == "train"  # with its copy gone from test, it may be learned from
    leaks = splitting.leaks.set_index("id")
    assert set(leaks["action"]) == {"withheld from test"}
    assert leaks.loc["i016", "why"] == "the parent has learned from it"
    assert leaks.loc["i018", ["other_id", "other_split"]].tolist() == ["i003", "val"]
    assert leaks.loc["i018", "why"] == "near copy (planted)"
    assert any("2 images of the given test, or copies" in text for text in splitting.findings)
    moved = "from where the parent knew them: 1 from test to train, 1 from val to train"
    assert any(moved in text for text in splitting.findings)


def test_split__refuses_a_given_test_of_which_the_parent_learned_too_much() -> None:
    rows = known_by_content(manifest_of(["a", "b"] * 10, given=GIVEN))
    standing = table_of(i016="train", i017="val")
    with pytest.raises(DataError, match=r"too much of the given test.*found: 2 of 4"):
        split_manifest(rows, pairs_of(), PLAIN, standing)


def test_split__keeps_the_val_that_an_earlier_run_drew_from_a_given_train() -> None:
    given_split = ["train"] * 30 + ["test"] * 10
    rows = known_by_content(manifest_of(["a", "b"] * 20, given=given_split))
    first = split_manifest(rows.iloc[10:], pairs_of(), PLAIN)
    second = split_manifest(rows, pairs_of(), SplitOptions(seed=5), first.split_manifest)
    before, after = sides_of(first), sides_of(second)
    assert {name: after[name] for name in before} == before
    assert "val" in {after[f"i{n:03d}"] for n in range(10)}
