"""Append-only and chained by hashes: what was altered is named, by its line."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graft.adapters.ledger import Lease, LeaseError, Ledger, LedgerError
from graft.adapters.ledger.chain import FIELDS, seal
from graft.adapters.ledger.ledger import champions

SCRIPT = Path(__file__).with_name("writing_process.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Five promotions and a rollback."""
    book = Ledger(tmp_path, "tiny")
    with book.turn():
        for version in "12345":
            before = champions(book.entries)
            book.write("promote", version, replaced=before[-1]["version"] if before else None)
        book.write("rollback", "4", replaced="5", reason="5 was bad")
    return book


def test_ledger__says_who_when_why_and_what_it_replaced(ledger: Ledger) -> None:
    entries = ledger.entries
    assert [sorted(entry) == sorted(FIELDS) for entry in entries] == [True] * 6
    assert [entry["replaced"] for entry in entries] == [None, "1", "2", "3", "4", "5"]
    assert "@" in entries[0]["actor"] and entries[-1]["reason"] == "5 was bad"


def test_champions__are_right_at_every_time(ledger: Ledger) -> None:
    entries = ledger.entries
    times = [datetime.fromisoformat(entry["time"]) for entry in entries]
    assert champions(entries, times[0] - timedelta(seconds=1)) == []
    for moment, version in zip(times, "123454", strict=True):
        assert champions(entries, moment)[-1]["version"] == version
    assert [entry["version"] for entry in champions(entries)] == ["1", "2", "3", "4"]
    assert champions(entries, datetime.now(UTC))[-1]["version"] == "4"


def edit(lines: list[str]) -> None:
    entry = json.loads(lines[2])
    lines[2] = json.dumps({**entry, "reason": "another"})


def reseal(lines: list[str]) -> None:
    entry = {**json.loads(lines[2]), "version": "9"}
    lines[2] = json.dumps({**entry, "sha256": seal(entry)})


def drop(lines: list[str]) -> None:
    del lines[2]


def swap(lines: list[str]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def spoil(lines: list[str]) -> None:
    lines[2] = "{"


@pytest.mark.parametrize("change, line", [(edit, 3), (reseal, 4), (drop, 3), (swap, 3), (spoil, 3)])
def test_ledger__names_the_line_that_was_altered(
    ledger: Ledger, change: Callable[[list[str]], None], line: int
) -> None:
    lines = ledger.path.read_text().splitlines()
    change(lines)
    ledger.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(LedgerError, match=f"line {line} is"):
        _ = ledger.entries
    with pytest.raises(LedgerError), ledger.turn():
        ledger.write("refuse", "6")


def test_ledger__goes_on_after_a_line_that_was_never_ended(ledger: Ledger) -> None:
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[:50])
    assert len(ledger.entries) == 6
    with ledger.turn():
        ledger.write("refuse", "6")
    assert len(ledger.entries) == 7
    assert ledger.path.read_bytes().startswith(whole)


def test_ledger__keeps_every_line_of_six_writers_of_whom_one_is_killed_in_its_turn(
    tmp_path: Path,
) -> None:
    holder = start("hold", tmp_path, 3)
    assert holder.stdout is not None and holder.stdout.readline() == "holding\n"
    writers = [start("write", tmp_path, 4, 3) for _ in range(5)]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    for writer in writers:
        said, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0, said
    entries = Ledger(tmp_path, "tiny").entries
    assert [entry["index"] for entry in entries] == list(range(20))
    assert len({entry["reason"] for entry in entries}) == 5


def test_ledger__is_whole_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    generator = random.Random(0)
    for _ in range(4):
        writer = start("write", tmp_path, 10_000, 0.5)
        ledger, until = Ledger(tmp_path, "tiny", 0.5), time.monotonic() + 60
        before = len(ledger.entries)
        while len(ledger.entries) < before + 3 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(generator.random() / 10)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        with ledger.turn():
            ledger.write("refuse", "after")
        assert ledger.entries[-1]["version"] == "after"


def test_lease__is_held_by_one_and_expires(tmp_path: Path) -> None:
    path = tmp_path / "turn.lock"
    with Lease(path, lease_s=0.3).held() as slow:
        with pytest.raises(LeaseError, match="held by"), Lease(path, patience_s=0.05).held():
            pass
        with Lease(path, patience_s=5).held() as quick:
            with quick.certain():
                pass
            with pytest.raises(LeaseError, match="expired"), slow.certain():
                pass
    assert not path.exists()


def test_lease__is_free_after_a_writer_that_was_killed_while_it_wrote_its_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "turn.lock"
    path.write_text('{"token": "x", "expi')
    with Lease(path, patience_s=1).held() as lease, lease.certain():
        assert json.loads(path.read_text())["holder"].endswith(f"process {os.getpid()}")
    assert not path.exists()
