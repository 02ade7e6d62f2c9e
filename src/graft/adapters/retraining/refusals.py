"""What the ledger tells of trainings since the champion moved: what need not be done again."""

from collections.abc import Iterator, Sequence

from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import MADE_AGAIN, champions
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.promotion.case import Case
from graft.adapters.registry import RegistryError, resolve
from graft.adapters.retraining.basis import (
    CHANGES,
    Basis,
    Reason,
    reasons_between,
    recorded_basis,
)
from graft.vision.errors import DataError
from graft.vision.records import digest_of

REFUSE = "refuse"
OUTSIDE = ("alias", "committed_code", "evidence", "load")
"""Rules about what lies outside a model: mended there, after which it may well be promoted."""


def refused_before(case: Case, now: Basis) -> Entry | None:
    """The refusal of a version that was made by all this: no need to repeat it."""
    for entry in refusals(case):
        made_by = basis_of(case, entry)
        if made_by is not None and not [*reasons_between(made_by, now)]:
            return entry
    return None


def followed_before(case: Case, changed: Sequence[Reason]) -> Entry | None:
    """What came of a training for these very changes since the champion moved: it gave the
    champion again, or a version that was there already and was refused.

    Such a version's own record tells of the conf that it was first made by.
    """
    for entry in _since_the_move(case):
        counts = entry["action"] == MADE_AGAIN or _is_refusal(case, entry)
        if counts and is_answer(entry, changed) and _is_there(case, entry["version"]):
            return entry
    return None


def is_answer(entry: Entry, changed: Sequence[Reason]) -> bool:
    """Whether an entry tells what came of a training for these changes; False of none."""
    said = entry["evidence"].get("retraining", {}).get("reasons", [])
    followed = [each for each in said if each["reason"] in CHANGES]
    return bool(changed) and digest_of(followed) == digest_of([each.record() for each in changed])


def refusals(case: Case) -> Iterator[Entry]:
    """Refusals since the champion moved by the rule that conf states now, the last first: another
    rule may well promote what this one did not see."""
    yield from (entry for entry in _since_the_move(case) if _is_refusal(case, entry))


def is_of_the_model(refusal: Entry) -> bool:
    """Whether the version itself was refused, so that it would be again."""
    by = set(refusal["evidence"].get("refused_by", ()))  # earlier entries do not tell
    return not by or not by <= set(OUTSIDE)


def basis_of(case: Case, entry: Entry) -> Basis | None:
    """What an entry's version was made by; None where that was deleted since."""
    try:
        version = resolve(f"{case.model}/{entry['version']}")
        return recorded_basis(read_lineage(version, case.project))
    except (RegistryError, DataError):
        return None


def _is_refusal(case: Case, entry: Entry) -> bool:
    rule = case.rule.model_dump(mode="json") if case.rule else {}
    return bool(entry["action"] == REFUSE and entry["rule"] == rule)


def _is_there(case: Case, version: str) -> bool:
    try:
        resolve(f"{case.model}/{version}")
    except RegistryError:  # deleted since
        return False
    return True


def _since_the_move(case: Case) -> Iterator[Entry]:
    """The ledger's entries since the champion became it, the last first."""
    entries = case.ledger.entries
    moved = max((entry["index"] for entry in champions(entries)[-1:]), default=-1)
    yield from (entry for entry in reversed(entries) if entry["index"] > moved)
