"""The ledger of one registered model: what is champion, what was, and what was only begun."""

import getpass
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graft.adapters.ledger.chain import Entry, append, read_chain
from graft.adapters.ledger.lease import LEASE_S, Lease

MOVES = ("promote", "rollback")
DECISIONS = (*MOVES, "refuse", "hold")
EXPORT, HOLD_BATCH, MADE_AGAIN = "export", "hold_batch", "made_again"
"""What decides nothing about a version: that it was shown to somebody, stands while a batch of
images is held back, or is what a training gave once more."""
INTENT, DONE, UNDONE = "intent", "done", "undone"
FOLDER = Path("data/09_ledger")


class Ledger:
    """Entries of one model; written by one at a time.

    A move of the champion is two entries: the intent before the alias is moved, and the outcome
    after it (``done`` or ``undone``). A refusal, a hold or an export is one.

    Args:
        folder: where ledgers lie, usually ``data/09_ledger`` of the project.
        model: name of the registered model.
    """

    def __init__(self, folder: Path, model: str, lease_s: float = LEASE_S) -> None:
        self.model = model
        name = re.sub(r"[^\w.-]", "_", model)
        self.path = folder / f"{name}.jsonl"
        self._lease = Lease(folder / f"{name}.lock", lease_s)
        self._writing = False

    @property
    def entries(self) -> list[Entry]:
        """Every entry, oldest first. Raises `LedgerError` where one was altered."""
        return read_chain(self.path)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The only writer, for the block."""
        with self._lease.held():
            self._writing = True
            try:
                yield
            finally:
                self._writing = False

    def write(
        self,
        action: str,
        version: str,
        *,
        state: str = DONE,
        replaced: str | None = None,
        rule: Mapping[str, Any] | None = None,
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Add an entry, within a `turn`. Raises `LeaseError` when the turn was lost meanwhile."""
        assert self._writing, "a ledger is written within its turn"
        facts = {
            "time": now(),
            "actor": actor(),
            "action": action,
            "state": state,
            "model": self.model,
            "version": str(version),
            "replaced": replaced,
            "rule": dict(rule or {}),
            "reason": reason,
            "evidence": dict(evidence or {}),
        }
        with self._lease.certain():
            return append(self.path, facts, self.entries)

    def close(self, intent: Entry, state: str, reason: str | None = None) -> Entry:
        """Write how a move ended."""
        return self.write(
            intent["action"],
            intent["version"],
            state=state,
            replaced=intent["replaced"],
            rule=intent["rule"],
            reason=intent["reason"] if reason is None else reason,
            evidence={**intent["evidence"], "intent": intent["index"]},
        )


def now() -> str:
    """UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def actor() -> str:
    """Who moves it: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def champions(entries: list[Entry], at: datetime | None = None) -> list[Entry]:
    """The moves that lead to the champion at a time (now when None), it last.

    A rollback takes back what came after the version that it brings back, so that a second one
    goes two back.
    """
    stack: list[Entry] = []
    for entry in entries:
        late = at is not None and datetime.fromisoformat(entry["time"]) > at
        if late or entry["action"] not in MOVES or entry["state"] != DONE:
            continue
        if entry["action"] == "rollback":
            while stack and stack[-1]["version"] != entry["version"]:
                stack.pop()
        else:
            stack.append(entry)
    return stack


def decisions(entries: list[Entry]) -> list[Entry]:
    """What was decided of versions, oldest first."""
    return [entry for entry in entries if entry["action"] in DECISIONS]


def open_intent(entries: list[Entry]) -> Entry | None:
    """The move that was begun and whose end nobody wrote."""
    moves = [entry for entry in entries if entry["action"] in MOVES]
    return moves[-1] if moves and moves[-1]["state"] == INTENT else None
