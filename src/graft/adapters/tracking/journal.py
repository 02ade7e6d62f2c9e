"""What a run records, kept on this disk before MLflow is told: a folder per run, only added to."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.adapters.atomic import blaming

RECORDS, SENT, FILES = "records.jsonl", "sent.jsonl", "files"
CREATE, ARTIFACT, END = "create", "artifact", "end"
"""The first record of a run; one that comes with a file; the last."""
LEFT_S = 3600.0
"""A hidden folder that is older was left by a kill: none is hidden for more than moments."""


class Journal:
    """The records of one run, by number, and which of them were sent.

    A line that a kill or a full disk cut short is no record. A file is copied before the line that
    tells of it is written. What cannot be kept is an `OSError` that names the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def named(cls, below: Path) -> "Journal":
        """One with a name of its own below a folder; nothing is written yet."""
        when = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        return cls(below / f"{when}-{uuid.uuid4().hex[:12]}")

    def begin(self, first: dict[str, Any]) -> None:
        """Appear together with the first record. Raises `OSError` when it cannot be kept."""
        hidden = Journal(self.folder.with_name(f".{self.folder.name}.new"))
        try:
            hidden.folder.mkdir(parents=True)
            hidden.add(first)
            hidden.folder.rename(self.folder)
        except OSError:
            shutil.rmtree(hidden.folder, ignore_errors=True)
            raise

    def add(self, record: dict[str, Any], number: int = 0, file: Path | None = None) -> None:
        """Append a record, with a copy of its file. Raises `OSError` when it cannot be kept."""
        if file is not None:
            copy = self.file_of(number, file.name)
            with blaming(copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        _append(self.folder / RECORDS, record)

    def mark(self, number: int, run_id: str) -> None:
        """Note that a record was sent, and to which run; its file is needed no more."""
        _append(self.folder / SENT, {"number": number, "run_id": run_id})
        shutil.rmtree(self.folder / FILES / str(number), ignore_errors=True)

    def file_of(self, number: int, name: str) -> Path:
        """Where the copy of a record's file lies."""
        return self.folder / FILES / str(number) / name

    @property
    def records(self) -> list[dict[str, Any]]:
        """All that is whole; empty where the journal is gone."""
        return list(_read(self.folder / RECORDS))

    @property
    def run_id(self) -> str | None:
        """The run that records were sent to; None before the first was."""
        return next((str(sent["run_id"]) for sent in _read(self.folder / SENT)), None)

    def waiting(self) -> list[tuple[int, dict[str, Any]]]:
        """What was not sent yet, in its order."""
        sent = {line["number"] for line in _read(self.folder / SENT)}
        return [(number, each) for number, each in enumerate(self.records) if number not in sent]

    def heal(self) -> None:
        """Cut off what was half written, so that more can be added. Only where its run is over."""
        for file in (self.folder / RECORDS, self.folder / SENT):
            if file.is_file():
                whole = sum(len(line) for line in _whole_lines(file))
                if whole != file.stat().st_size:
                    os.truncate(file, whole)

    def sync(self, number: int | None = None) -> None:
        """Let it outlive the power too, where it has to wait: one record, or all till now."""
        files = self.folder / FILES if number is None else self.folder / FILES / str(number)
        for file in (self.folder / RECORDS, *files.rglob("*")):
            if file.is_file():
                with blaming(file), file.open("rb") as handle:
                    os.fsync(handle.fileno())

    def drop(self) -> None:
        """Nothing waits any more; out of sight first, so that no half of it is ever read."""
        hidden = self.folder.with_name(f".{self.folder.name}.done")
        self.folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def journals(below: Path) -> list[Journal]:
    """All that there are, the oldest first; what kills left of others is removed."""
    if not below.is_dir():
        return []
    for left in below.glob(".*.*"):
        if time.time() - left.stat().st_mtime > LEFT_S:
            shutil.rmtree(left, ignore_errors=True)
    return [Journal(folder) for folder in sorted(below.glob("[!.]*")) if folder.is_dir()]


def _append(file: Path, line: dict[str, Any]) -> None:
    data = (json.dumps(line) + "\n").encode()
    with blaming(file):
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            while data:
                data = data[os.write(handle, data) :]
        finally:
            os.close(handle)


def _read(file: Path) -> Iterator[dict[str, Any]]:
    for line in _whole_lines(file):
        yield json.loads(line)


def _whole_lines(file: Path) -> Iterator[bytes]:
    try:
        lines = file.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in lines[:-1]:  # what comes after the last end of a line is no line yet
        yield line + b"\n"
