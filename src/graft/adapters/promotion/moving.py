"""Moving the champion: intent, alias, outcome, each of which a crash may come after."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import DONE, INTENT, UNDONE, Ledger, champions, open_intent
from graft.adapters.ledger.mirror import check_mirror, mirror
from graft.adapters.promotion.case import Case
from graft.adapters.registry import CHAMPION, RegistryError, version_at


def settle(case: Case) -> str | None:
    """Complete or undo what a stopped command began, and bring MLflow's copy up to date.

    Returns:
        The version that the ledger calls champion; None where none stands.

    Raises:
        LedgerError: when the ledger was altered.
        RegistryError: when MLflow lacks the model that the ledger tells of.
    """
    ledger = case.ledger
    with _known_to_mlflow(case), ledger.turn():
        check_mirror(ledger)
        _close_open_intent(ledger)
        mirror(ledger, case.experiment)
        return standing(ledger)


def standing(ledger: Ledger) -> str | None:
    """The version that the ledger calls champion."""
    stack = champions(ledger.entries)
    return str(stack[-1]["version"]) if stack else None


def move(
    case: Case,
    action: str,
    version: str,
    expected: str | None,
    rule: Mapping[str, Any],
    reason: str,
    evidence: Mapping[str, Any],
) -> Entry | None:
    """Make a version champion, if the champion is still the ``expected`` one; else None."""
    from mlflow import MlflowClient

    ledger = case.ledger
    with _known_to_mlflow(case), ledger.turn():
        _close_open_intent(ledger)
        if standing(ledger) != expected:
            return None
        intent = ledger.write(
            action,
            version,
            state=INTENT,
            replaced=expected,
            rule=rule,
            reason=reason,
            evidence=evidence,
        )
        MlflowClient().set_registered_model_alias(case.model, CHAMPION, version)
        entry = ledger.close(intent, DONE)
        mirror(ledger, case.experiment)
    return entry


def note(case: Case, action: str, version: str, **facts: Any) -> Entry:
    """One entry that moves nothing: a refusal, a hold, an export."""
    ledger = case.ledger
    with _known_to_mlflow(case), ledger.turn():
        _close_open_intent(ledger)
        entry = ledger.write(action, version, replaced=None, **facts)
        mirror(ledger, case.experiment)
    return entry


def moved_outside(case: Case) -> str | None:
    """A sentence where MLflow's alias is not where the ledger put it; None where it is."""
    ledger, found = case.ledger, version_at(case.model, CHAMPION)
    known, intent = standing(ledger), open_intent(ledger.entries)
    if found == known or (intent is not None and found == intent["version"]):
        return None
    there = f"points at version {found}" if found else "is gone or points at nothing"
    put = f"the ledger put it at version {known}" if known else "the ledger knows no champion"
    return f"the alias {CHAMPION} in MLflow {there}, but {put}: it was moved by another hand"


@contextmanager
def _known_to_mlflow(case: Case) -> Iterator[None]:
    """A store that was lost is made anew, empty, by whoever asks it next; it is said of what."""
    from mlflow import get_tracking_uri
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RegistryError(
            f"MLflow's store {get_tracking_uri()} lacks what the ledger of {case.model} tells of",
            found=error.message,
            mend="bring the store back and run again; what was begun is completed or undone then",
        ) from error


def _close_open_intent(ledger: Ledger) -> None:
    """Where the alias was moved, the move is completed; where it was not, undone."""
    intent = open_intent(ledger.entries)
    if intent is None:
        return
    if version_at(ledger.model, CHAMPION) == intent["version"] != intent["replaced"]:
        ledger.close(intent, DONE)
    else:
        ledger.close(intent, UNDONE, "stopped before the alias was moved")
