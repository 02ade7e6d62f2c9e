"""`kedro model rollback`: the last champion again, with the predictions that it had."""

from typing import Any

from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import champions
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.clean_process import UnloadableModelError
from graft.adapters.promotion.loading import say
from graft.adapters.promotion.moving import move, moved_outside, settle
from graft.adapters.promotion.outcomes import ROLLED_BACK, SUPERSEDED
from graft.adapters.registry import NAME, RegistryError, resolve, verified
from graft.vision.errors import GraftError


class RollbackError(GraftError):
    """There is no champion to go back to, or it does not predict as it did."""


def roll_back(case: Case, text: str, override: str | None = None) -> dict[str, Any]:
    """Bring back the champion before this one, or the version that is named.

    Args:
        override: the reason for which a version may come back whose predictions are not, or could
            not be, shown to be those it was promoted with; it is recorded.

    Returns:
        ``outcome``, ``version``, ``replaced``, ``predictions`` (a sentence), ``entry``.

    Raises:
        RollbackError: when there is nothing to go back to, or another answer comes back.
        AlteredModelError: when the bytes of the version are not those that were registered.
    """
    standing, outside = settle(case), moved_outside(case)
    stack = champions(case.ledger.entries)
    target = _target(case, stack, NAME.fullmatch(text), outside)
    version = resolve(f"{case.model}/{target['version']}")
    evidence, said = _check_predictions(case, version, target["evidence"], override)
    reason = _reason(standing, target, outside, override)
    entry = move(case, "rollback", target["version"], standing, target["rule"], reason, evidence)
    return {
        "outcome": ROLLED_BACK if entry else SUPERSEDED,
        "model": case.model,
        "version": target["version"],
        "replaced": standing,
        "predictions": said,
        "reason": reason,
        "entry": entry,
    }


def _target(case: Case, stack: list[Entry], named: Any, outside: str | None) -> Entry:
    """The entry by which the version to bring back became champion."""
    if named is not None and named["version"]:
        found = [entry for entry in stack if entry["version"] == named["version"]]
        if not found:
            raise RollbackError(
                f"version {named['version']} of {case.model} is no champion to go back to",
                allowed=", ".join(dict.fromkeys(entry["version"] for entry in stack)) or "none",
                mend=f"see kedro model history {case.model}",
            )
        return found[-1]
    if outside is not None and stack and _exists(case, stack[-1]["version"]):
        return stack[-1]  # another hand moved the alias: it goes back to where it was
    if len(stack) < 2:
        raise RollbackError(
            f"{case.model} has no earlier champion to go back to",
            found=f"{len(stack)} in the ledger",
            mend=f"see kedro model history {case.model}",
        )
    return stack[-2]


def _exists(case: Case, version: str) -> bool:
    try:
        return bool(resolve(f"{case.model}/{version}"))
    except RegistryError:
        return False


def _check_predictions(
    case: Case, version: Any, recorded: dict[str, Any], override: str | None
) -> tuple[dict[str, Any], str]:
    """Evidence and a sentence: the registered bytes say bit for bit what they said."""
    wanted, images = recorded.get("predictions_sha256"), recorded.get("images", {})
    with verified(version):  # whatever else is overridden, altered bytes never come back
        pass
    try:
        evidence, _ = say(case, version, images, recorded.get("threads"))
    except UnloadableModelError as error:
        if not override:
            raise
        return {**recorded, "override": override}, f"not shown to be the same ({error})"
    if evidence["predictions_sha256"] == wanted:
        return {**recorded, **evidence}, f"bit-identical on {len(images)} images ({wanted[:12]}...)"
    if override:
        return {**recorded, **evidence, "override": override}, "not the same; overridden"
    raise RollbackError(
        f"{case.model}/{version.version} does not predict what it did when it was promoted",
        found=f"SHA-256 {evidence['predictions_sha256']}",
        allowed=f"SHA-256 {wanted}",
        mend="roll back on the machine class it was promoted on, or give --override REASON",
    )


def _reason(standing: str | None, target: Entry, outside: str | None, override: str | None) -> str:
    reason = f"version {target['version']} brought back in place of version {standing}"
    parts = [reason, outside, override and f"overridden: {override}"]
    return "; ".join(part for part in parts if part)
