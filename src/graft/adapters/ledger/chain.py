"""The lines of a ledger file, and whether each is the one that was written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.adapters.atomic import blaming
from graft.vision.errors import GraftError

Entry = dict[str, Any]
FIELDS = (
    "index", "time", "actor", "action", "state", "model", "version", "replaced", "rule", "reason",
    "evidence", "previous_sha256", "sha256",
)  # fmt: skip
START = "0" * 64
"""What the first line names as the one before."""


class LedgerError(GraftError):
    """The ledger is not what was written."""


def read_chain(path: Path) -> list[Entry]:
    """Every entry, oldest first, none when there is no file.

    A last line without an end was being written when its process died: it never counted.

    Raises:
        LedgerError: naming the first line that is not as it was written.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        previous = entries[-1]["sha256"] if entries else START
        entries.append(_checked(line, number, previous, path))
    return entries


def append(path: Path, facts: Mapping[str, Any], entries: list[Entry]) -> Entry:
    """Add one entry after ``entries``, on disk when this returns; returns it whole."""
    entry: Entry = {
        "index": len(entries),
        **facts,
        "previous_sha256": entries[-1]["sha256"] if entries else START,
    }
    entry["sha256"] = seal(entry)
    with blaming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            end = _end_of_last_line(handle)
            os.ftruncate(handle, end)  # of what a killed writer began
            os.lseek(handle, end, os.SEEK_SET)
            _write_all(handle, json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        _sync_folder(path.parent)
    return entry


def seal(entry: Mapping[str, Any]) -> str:
    """SHA-256 over all of an entry but its own seal."""
    from graft.vision.records import digest_of

    return digest_of({key: value for key, value in entry.items() if key != "sha256"})


def _checked(line: bytes, number: int, previous: str, path: Path) -> Entry:
    try:
        entry: Entry = json.loads(line)
        whole = sorted(entry) == sorted(FIELDS)
    except (ValueError, TypeError):
        raise _tampered(path, number, "no entry") from None
    if not whole or entry["sha256"] != seal(entry):
        raise _tampered(path, number, "changed since it was written")
    if entry["previous_sha256"] != previous or entry["index"] != number - 1:
        raise _tampered(path, number, "not the successor of the line before it")
    return entry


def _tampered(path: Path, number: int, what: str) -> LedgerError:
    return LedgerError(
        f"the ledger {path.name} was altered: line {number} is {what}",
        mend=f"compare {path} with its copy among the artifacts of the run 'promotions' in MLflow",
    )


def _end_of_last_line(handle: int) -> int:
    size = os.fstat(handle).st_size
    data = os.pread(handle, size, 0)
    return data.rfind(b"\n") + 1


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
