"""`kedro model history`: the ledger as it reads, and what was champion at a time."""

from datetime import UTC, datetime
from typing import Any

from graft.adapters.ledger.ledger import champions, open_intent
from graft.adapters.ledger.mirror import check_mirror
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.moving import moved_outside
from graft.vision.errors import OptionsError


def tell_history(case: Case, at: str | None = None) -> dict[str, Any]:
    """``model``, ``at``, ``champion`` (version, or None), ``entries`` up to then, ``doubts``.

    Changes nothing. Raises `LedgerError` naming the line that was altered, and `OptionsError` for
    a time that cannot be read.
    """
    moment = None if at is None else _moment(at)
    entries = case.ledger.entries
    check_mirror(case.ledger)
    stack = champions(entries, moment)
    past = [e for e in entries if moment is None or datetime.fromisoformat(e["time"]) <= moment]
    return {
        "model": case.model,
        "at": moment.isoformat() if moment else None,
        "champion": stack[-1]["version"] if stack else None,
        "entries": past,
        "doubts": _doubts(case),
    }


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise OptionsError(
            f"--at {text!r} is no time", allowed="ISO, such as 2026-11-25 or 2026-11-25T20:15:00Z"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _doubts(case: Case) -> list[str]:
    doubts = []
    intent = open_intent(case.ledger.entries)
    if intent is not None:
        doubts.append(
            f"entry {intent['index']} ({intent['action']} version {intent['version']}) was begun "
            "and not ended; the next promote or rollback completes or undoes it"
        )
    outside = moved_outside(case)
    return [*doubts, outside] if outside else doubts
