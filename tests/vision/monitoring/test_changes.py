"""Added, changed and gone images are told apart; samples are of whole units."""

import pandas as pd

from graft.vision.monitoring.changes import find_changes, some_units


def table(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """id -> (sha256, truth)."""
    told = [{"id": name, "sha256": sha, "truth": truth} for name, (sha, truth) in rows.items()]
    return pd.DataFrame(told, columns=["id", "sha256", "truth"])


KNOWN = table({"a": ("1", "ant"), "b": ("2", "bee"), "c": ("3", "ant"), "d": ("4", "bee")})


def test_find_changes__tells_the_kinds_apart() -> None:
    now = table(
        {
            "a": ("1", "ant"),
            "b": ("2", "ant"),
            "c": ("9", "bee"),
            "e": ("5", "ant"),
            "f": ("6", "bee"),
        }
    )
    found = find_changes(KNOWN, now, withheld=["f"])
    told = found.record()
    assert told["added"] == ["e"]
    assert told["changed_truth"] == ["b"]
    assert told["changed_bytes"] == ["c"]
    assert told["gone"] == ["d"]
    assert told["withheld"] == ["f"]
    assert list(found.new["id"]) == ["b", "c", "e"]
    assert told["sentences"] == [
        "Beside the champion's images there are 1 added, 1 with other bytes, "
        "1 with another truth, 1 gone."
    ]


def test_find_changes__equal_tables_have_none_whatever_their_order() -> None:
    found = find_changes(KNOWN, KNOWN.iloc[::-1])
    assert found.new.empty
    assert found.record()["sentences"] == ["All images are as the champion knew them."]


def test_changes__bytes_and_truths_tell_one_batch_from_another() -> None:
    one, other, same = (
        find_changes(KNOWN, pd.concat([KNOWN, table({"e": row})])).record()["data_sha256"]
        for row in (("5", "ant"), ("5", "bee"), ("5", "ant"))
    )
    assert one == same != other


def test_some_units__keeps_units_whole_and_is_the_same_each_time() -> None:
    rows = pd.DataFrame({"id": range(100), "unit": [f"u{i // 10}" for i in range(100)]})
    some = some_units(rows, 35, 0)
    assert len(some) == 40
    assert (some.groupby("unit").size() == 10).all()
    assert some.equals(some_units(rows, 35, 0))
    assert not some.equals(some_units(rows, 35, 1))
    assert len(some_units(rows, 100, 0)) == 100
