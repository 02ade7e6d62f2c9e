"""Splits: what belongs together stays together, and a given split is kept unless it leaks."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from graft.vision.data.near_copies import PAIR_COLUMNS
from graft.vision.data.options import SplitOptions
from graft.vision.data.splits import LEAK_COLUMNS, Splitting, class_table_of, split_manifest
from graft.vision.errors import DataError
from graft.vision.records import MANIFEST_COLUMNS, SPLIT_COLUMNS, SPLITS

PLAIN = SplitOptions()


def manifest_of(classes: list[str], groups=None, given=None) -> pd.DataFrame:
    """A row per text of classes, joined by ``|``; ids are i000, i001, ..."""
    count = len(classes)
    rows = pd.DataFrame({name: [""] * count for name in MANIFEST_COLUMNS})
    rows["id"] = rows["path"] = [f"i{n:03d}" for n in range(count)]
    rows["truth"] = [json.dumps({"classes": [c for c in text.split("|") if c]}) for text in classes]
    rows["group"] = groups or [""] * count
    rows["given_split"] = given or [""] * count
    return rows


def pairs_of(*pairs: tuple[int, int], kind: str = "near") -> pd.DataFrame:
    rows = [(f"i{a:03d}", f"i{b:03d}", kind, 1.0, "planted") for a, b in pairs]
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def sides_of(splitting: Splitting) -> dict[str, str]:
    rows = splitting.split_manifest
    return dict(zip(rows["id"], rows["split"], strict=True))


def counts_of(splitting: Splitting) -> Counter[tuple[str, str]]:
    """Images by (split, class)."""
    return Counter(
        (split, name)
        for split, truth in splitting.split_manifest[["split", "truth"]].to_numpy()
        for name in json.loads(truth)["classes"]
    )


def units_by_graph(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[int]:
    """What must stay together, by scipy's connected components: an outside truth."""
    place = {name: n for n, name in enumerate(rows["id"])}
    links = [(place[a], place[b]) for a, b in zip(pairs["id_a"], pairs["id_b"], strict=True)]
    for _, members in rows[rows["group"] != ""].groupby("group"):
        links += [(place[members["id"].iloc[0]], place[name]) for name in members["id"]]
    ends = np.array(links, int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(ends.shape[1]), ends), shape=(len(rows), len(rows)))
    return list(connected_components(graph, directed=False)[1])


# --- nothing leaks -------------------------------------------------------------------------------


@st.composite
def cases(draw) -> tuple[pd.DataFrame, pd.DataFrame, SplitOptions]:
    count = draw(st.integers(2, 30))
    several = draw(st.booleans())
    names = st.sampled_from(["a", "b", "c", "rare"])
    one = st.lists(names, max_size=3, unique=True).map("|".join) if several else names
    classes = draw(st.lists(one, min_size=count, max_size=count))
    some_groups = st.lists(
        st.sampled_from(["", "", "g", "h", "k", "l"]), min_size=count, max_size=count
    )
    groups = draw(st.one_of(st.just([""] * count), some_groups))
    some_given = st.lists(st.sampled_from(SPLITS), min_size=count, max_size=count)
    given_split = draw(st.one_of(st.just([""] * count), some_given))
    number = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(number, number).filter(lambda p: p[0] != p[1]), max_size=8))
    options = SplitOptions(
        seed=draw(st.integers(0, 3)),
        keep_given=draw(st.booleans()),
        test_share=draw(st.sampled_from([0.05, 0.2, 0.5])),
        withheld_share_max=draw(st.sampled_from([0.2, 1.0])),
    )
    return manifest_of(classes, groups, given_split), pairs_of(*pairs), options


@settings(max_examples=250, deadline=None)
@given(cases())
def test_split__never_puts_a_group_or_near_copy_on_two_sides(case) -> None:
    rows, pairs, options = case
    try:
        splitting = split_manifest(rows, pairs, options)
    except DataError as error:
        assert str(error)
        return
    side = sides_of(splitting)
    assert set(side.values()) <= set(SPLITS) and set(side) <= set(rows["id"])
    assert len(splitting.split_manifest) == len(side)
    assert list(splitting.split_manifest.columns) == list(SPLIT_COLUMNS)
    sides: dict[int, set[str]] = {}
    for name, unit in zip(rows["id"], units_by_graph(rows, pairs), strict=True):
        if name in side:
            sides.setdefault(unit, set()).add(side[name])
    assert all(len(found) == 1 for found in sides.values())
    # Every image has a side, or its absence a line that says why.
    assert set(rows["id"]) - set(side) == set(splitting.leaks["id"])


@settings(max_examples=100, deadline=None)
@given(cases())
def test_split__is_the_same_for_the_same_seed_in_any_order(case) -> None:
    rows, pairs, options = case
    try:
        first = sides_of(split_manifest(rows, pairs, options))
    except DataError:
        return
    swapped = pairs.iloc[::-1].rename(columns={"id_a": "id_b", "id_b": "id_a"})
    assert sides_of(split_manifest(rows.iloc[::-1], swapped, options)) == first


def test_split__depends_on_the_seed() -> None:
    rows = manifest_of(["a", "b"] * 40)
    by_seed = [sides_of(split_manifest(rows, pairs_of(), SplitOptions(seed=n))) for n in range(3)]
    assert by_seed[0] != by_seed[1] != by_seed[2] != by_seed[0]


def test_split__moves_few_images_when_new_ones_come() -> None:
    before = sides_of(split_manifest(manifest_of(["a", "b"] * 100), pairs_of(), PLAIN))
    after = sides_of(split_manifest(manifest_of(["a", "b"] * 105), pairs_of(), PLAIN))
    assert sum(after[name] != side for name, side in before.items()) <= 10


# --- how many ------------------------------------------------------------------------------------


def test_split__takes_its_share_of_every_class() -> None:
    rows = manifest_of(["a"] * 100 + ["b"] * 50 + ["c"] * 10)
    counts = counts_of(split_manifest(rows, pairs_of(), PLAIN))
    for name, total in (("a", 100), ("b", 50), ("c", 10)):
        assert abs(counts["test", name] - 0.2 * total) <= 1
        assert abs(counts["val", name] - 0.8 * 0.15 * total) <= 1.5


def test_split__carries_what_large_groups_leave_over() -> None:
    """Tracks of 30 frames, two to four of a class: no class can give just a fifth."""
    classes, groups = [], []
    for name in range(12):
        for track in range(2 + name % 3):
            classes += [f"c{name:02d}"] * 30
            groups += [f"{name}/{track}"] * 30
    splitting = split_manifest(manifest_of(classes, groups), pairs_of(), PLAIN)
    sizes = splitting.split_manifest["split"].value_counts()
    assert min(sizes["val"], sizes["test"]) >= 30 and sizes["train"] >= 0.4 * len(classes)
    counts = counts_of(splitting)
    for name in sorted(set(classes)):
        assert counts["test", name] >= 30 and counts["train", name] >= 30


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(2, 12), min_size=2, max_size=5), seed=st.integers(0, 5))
def test_split__gives_each_class_of_two_images_one_to_train_and_one_to_test(sizes, seed) -> None:
    rows = manifest_of([f"c{n}" for n, size in enumerate(sizes) for _ in range(size)])
    counts = counts_of(split_manifest(rows, pairs_of(), SplitOptions(seed=seed)))
    for n in range(len(sizes)):
        assert counts["train", f"c{n}"] >= 1 and counts["test", f"c{n}"] >= 1


def test_split__refuses_a_class_of_one_image() -> None:
    with pytest.raises(DataError, match=r"there is one image only of one; .*; next: add images"):
        split_manifest(manifest_of(["a"] * 10 + ["b"] * 10 + ["one"]), pairs_of(), PLAIN)


@pytest.mark.parametrize("classes", [["a"], ["a"] * 20, ["", "", ""]])
def test_split__refuses_fewer_than_two_classes(classes) -> None:
    with pytest.raises(DataError, match="fewer than two classes"):
        split_manifest(manifest_of(classes), pairs_of(), PLAIN)


def test_split__refuses_one_image_of_each_class() -> None:
    with pytest.raises(DataError, match="one image only of a, b"):
        split_manifest(manifest_of(["a", "b"]), pairs_of(), PLAIN)


def test_split__keeps_a_class_of_one_group_in_training() -> None:
    classes = ["a"] * 20 + ["b"] * 20
    groups = [""] * 20 + ["only patient"] * 20
    side = sides_of(split_manifest(manifest_of(classes, groups), pairs_of(), PLAIN))
    assert {found for name, found in side.items() if name >= "i020"} == {"train"}


# --- several labels ------------------------------------------------------------------------------


def test_split__gives_a_rare_class_its_place_beside_a_common_one() -> None:
    """The rare class never stands alone: it must be drawn for its own sake."""
    rows = manifest_of(["animal"] * 60 + ["animal|zebra"] * 4 + ["animal|bee", "animal|bee"])
    for seed in range(20):
        counts = counts_of(split_manifest(rows, pairs_of(), SplitOptions(seed=seed)))
        for name in ("zebra", "bee"):
            assert counts["train", name] >= 1 and counts["test", name] >= 1, (seed, name)


def test_split__accepts_images_of_no_class() -> None:
    rows = manifest_of(["a", "b", "", "a|b"] * 10)
    splitting = split_manifest(rows, pairs_of(), PLAIN)
    assert len(splitting.split_manifest) == 40
    empty = splitting.split_manifest[splitting.split_manifest["truth"] == '{"classes": []}']
    assert set(empty["split"]) == set(SPLITS)


def test_class_table__names_the_classes_of_training() -> None:
    splitting = split_manifest(manifest_of(["b|a", "c", "a", "c|b"] * 5), pairs_of(), PLAIN)
    table = class_table_of(splitting.split_manifest, exclusive=False)
    assert table == {"names": ["a", "b", "c"], "exclusive": False}


# --- a given split -------------------------------------------------------------------------------

GIVEN = ["train"] * 12 + ["val"] * 4 + ["test"] * 4


def test_split__keeps_a_given_split() -> None:
    rows = manifest_of(["a", "b"] * 10, given=GIVEN)
    splitting = split_manifest(rows, pairs_of((0, 1), (16, 17)), PLAIN)
    assert list(sides_of(splitting).values()) == GIVEN
    assert splitting.leaks.empty and list(splitting.leaks.columns) == LEAK_COLUMNS


def test_split__withholds_and_names_what_leaks_and_keeps_the_rest() -> None:
    rows = manifest_of(["a", "b"] * 10, given=GIVEN)
    pairs = pairs_of((3, 18), (5, 14))
    splitting = split_manifest(rows, pairs, PLAIN)
    side = sides_of(splitting)
    assert set(rows["id"]) - set(side) == {"i003", "i005"}
    assert all(side[name] == GIVEN[int(name[1:])] for name in side)
    leaks = splitting.leaks.set_index("id")
    assert leaks.loc["i003", "other_id"] == "i018" and leaks.loc["i003", "other_split"] == "test"
    assert leaks.loc["i005", "other_id"] == "i014" and leaks.loc["i005", "other_split"] == "val"
    assert leaks.loc["i003", "why"] == "near copy (planted)"
    assert leaks.loc["i003", "action"] == "withheld from train"
    assert any("2 images" in finding and "leak" in finding for finding in splitting.findings)


def test_split__withholds_val_for_the_sake_of_test_and_follows_chains() -> None:
    groups = [""] * 20
    groups[0] = groups[13] = "patient"
    rows = manifest_of(["a", "b"] * 10, groups, GIVEN)
    splitting = split_manifest(rows, pairs_of((13, 17), kind="exact"), PLAIN)
    leaks = splitting.leaks.set_index("id")
    assert set(leaks.index) == {"i000", "i013"}
    assert set(leaks["other_id"]) == {"i017"}
    assert leaks.loc["i013", "why"] == "exact copy (planted)"
    assert "group or a chain" in leaks.loc["i000", "why"]


def test_split__refuses_a_given_split_that_leaks_too_much_and_says_the_way_out() -> None:
    groups = [f"g{n % 4}" for n in range(20)]
    rows = manifest_of(["a", "b"] * 10, groups, GIVEN)
    with pytest.raises(DataError, match=r"leaks too much.*16 of 16.*keep_given to false"):
        split_manifest(rows, pairs_of(), PLAIN)
    anew = split_manifest(rows, pairs_of(), SplitOptions(keep_given=False))
    assert anew.leaks.empty and len(anew.split_manifest) == 20


def test_split__judges_on_a_given_val_where_there_is_no_test() -> None:
    given_split = ["train"] * 30 + ["val"] * 10
    splitting = split_manifest(manifest_of(["a", "b"] * 20, given=given_split), pairs_of(), PLAIN)
    side = sides_of(splitting)
    assert {name for name, found in side.items() if found == "test"} == {
        f"i{n:03d}" for n in range(30, 40)
    }
    assert 3 <= list(side.values()).count("val") <= 6
    assert any("no test" in finding for finding in splitting.findings)


def test_split__draws_val_from_train_where_only_test_is_given() -> None:
    given_split = ["train"] * 30 + ["test"] * 10
    side = sides_of(
        split_manifest(manifest_of(["a", "b"] * 20, given=given_split), pairs_of(), PLAIN)
    )
    assert all(side[f"i{n:03d}"] == "test" for n in range(30, 40))
    assert list(side.values()).count("val") >= 3


def test_split__does_not_use_a_split_with_one_side_and_says_so() -> None:
    rows = manifest_of(["a", "b"] * 20, given=["train"] * 40)
    splitting = split_manifest(rows, pairs_of(), PLAIN)
    assert set(sides_of(splitting).values()) == set(SPLITS)
    assert any("['train'] only" in finding for finding in splitting.findings)


def test_split__refuses_a_split_that_is_given_for_some_images_only() -> None:
    given_split = ["train"] * 20 + ["test"] * 10 + [""] * 10
    rows = manifest_of(["a", "b"] * 20, given=given_split)
    with pytest.raises(DataError, match=r"10 of 40 images have no given split.*keep_given"):
        split_manifest(rows, pairs_of(), PLAIN)


def test_split__refuses_to_judge_a_class_that_no_training_image_has() -> None:
    rows = manifest_of(["a", "b"] * 8 + ["a", "b", "new", "b"], given=GIVEN)
    with pytest.raises(DataError, match=r"cannot be learned.*no training image of new"):
        split_manifest(rows, pairs_of(), PLAIN)


@settings(max_examples=300, deadline=None)
@given(
    labels=st.lists(
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True),
        min_size=4,
        max_size=30,
    ),
    groups=st.lists(st.sampled_from(["", "g", "h", "i", "j", "k"]), min_size=30, max_size=30),
    seed=st.integers(0, 9),
)
def test_split__leaves_every_class_something_to_learn_from(labels, groups, seed) -> None:
    """All images of a class may be drawn for the sake of rarer ones beside it."""
    counted = Counter(name for names in labels for name in names)
    assume(len(counted) > 1 and min(counted.values()) > 1)
    rows = manifest_of(["|".join(names) for names in labels], groups[: len(labels)])
    splitting = split_manifest(rows, pairs_of(), SplitOptions(seed=seed))
    counts = counts_of(splitting)
    assert all(counts["train", name] for names in labels for name in names)
    grouped = splitting.split_manifest[splitting.split_manifest["group"] != ""]
    assert (grouped.groupby("group")["split"].nunique() == 1).all()
