"""A journal is whole whatever befalls who writes it."""

import os
import time
from pathlib import Path

import pytest

from graft.adapters.tracking.journal import ARTIFACT, CREATE, LEFT_S, Journal, journals


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal.named(tmp_path)
    journal.begin({"do": CREATE, "name": "whole road"})
    return journal


def test_journal__gives_back_what_was_added_and_what_still_waits(journal: Journal) -> None:
    journal.add({"do": "tags", "tags": {"a": "\udcff \n ü"}}, 1)
    journal.add({"do": "end"}, 2)
    journal.mark(0, "r1")
    assert [record["do"] for record in journal.records] == [CREATE, "tags", "end"]
    assert [number for number, _ in journal.waiting()] == [1, 2]
    assert journal.waiting()[0][1]["tags"] == {"a": "\udcff \n ü"}
    assert journal.run_id == "r1"


@pytest.mark.parametrize("name", ["records.jsonl", "sent.jsonl"])
def test_journal__takes_a_line_that_was_cut_short_for_none(journal: Journal, name: str) -> None:
    journal.add({"do": "tags"}, 1)
    journal.mark(0, "r1")
    journal.mark(1, "r1")
    file = journal.folder / name
    whole = file.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        file.write_bytes(whole[:-cut])
        assert len(journal.records) == (1 if name == "records.jsonl" else 2)
        assert len(journal.waiting()) == (0 if name == "records.jsonl" else 1)
    journal.heal()
    journal.add({"do": "end"}, 2)
    assert journal.records[-1] == {"do": "end"}


def test_journal__keeps_a_file_as_it_was_until_it_is_sent(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("then")
    journal.add({"do": ARTIFACT, "name": file.name}, 1, file)
    file.write_text("now")
    copy = journal.file_of(1, file.name)
    assert copy.read_text() == "then"
    journal.mark(1, "r1")
    assert not copy.exists()


def test_journal__that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    below = tmp_path / "file"
    below.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        Journal.named(below).begin({"do": CREATE})
    assert journals(below) == []


def test_journals__pass_over_what_is_half_made_and_clear_it_later(
    journal: Journal, tmp_path: Path
) -> None:
    half = tmp_path / ".20260101-000000-abc.new"
    half.mkdir()
    assert [each.folder for each in journals(tmp_path)] == [journal.folder] and half.exists()
    long_ago = time.time() - 2 * LEFT_S
    os.utime(half, (long_ago, long_ago))
    journal.drop()
    assert journals(tmp_path) == [] and not half.exists()
    assert not any(tmp_path.iterdir())
