"""A fact holds, differs or is unknown; what nobody recorded is never taken to hold."""

import pytest

from graft.adapters.lineage.audit.rows import Fault, compared, flat, judged, unrecorded


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        ([], "holds"),
        ([Fault("file", "a", "b")], "differs"),
        ([Fault("licence", "unknown", "not declared")], "unknown"),
        ([Fault("licence", "unknown", "not declared"), Fault("file", "a", "b")], "differs"),
    ],
)
def test_judged__by_what_is_not_as_recorded(faults: list[Fault], status: str) -> None:
    row = judged("backbone", "as declared", faults)
    assert row.status == status and row.faults == faults


def test_unrecorded__reads_unknown() -> None:
    row = unrecorded("seeds")
    assert (row.status, row.recorded) == ("unknown", "unknown")


def test_compared__names_each_setting_by_its_full_name() -> None:
    before = flat("", {"task": {"epochs": 1, "seed": 0}, "case": "tiny"})
    after = flat("", {"task": {"epochs": 2, "more": None}, "case": "tiny"})
    found = {fault.what: (fault.expected, fault.found) for fault in compared(before, after)}
    assert found == {
        "task.epochs": ("1", "2"),
        "task.more": ("missing", "None"),
        "task.seed": ("0", "missing"),
    }
