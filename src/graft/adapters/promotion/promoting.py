"""`kedro model promote` and `compare`: the rule put to a registered version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import champions
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.clean_process import UnloadableModelError, predictions_digest
from graft.adapters.promotion.evidence import EvidenceError, called, judged, run_tags
from graft.adapters.promotion.loading import check_loads, judge_again
from graft.adapters.promotion.moving import move, moved_outside, note, settle
from graft.adapters.promotion.outcomes import PROMOTED, REFUSED, STANDS_ALREADY, SUPERSEDED
from graft.adapters.registry import CHALLENGER, AlteredModelError, RegistryError, resolve
from graft.adapters.tracking.facts import TREE
from graft.adapters.tracking.tree import committed_since
from graft.vision.promotion.decision import compare, decide
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check, Judged

UNUSABLE = (AlteredModelError, EvidenceError, RegistryError, UnloadableModelError)


def promote(
    case: Case,
    text: str,
    override: str | None = None,
    why: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put the rule to a version (the challenger, where only a model is named).

    Args:
        override: the reason for which uncommitted code may pass; it is recorded.
        why: for what reasons it was trained; kept with the evidence.

    Returns:
        The decision with ``outcome``: promoted, refused, superseded (another became champion
        meanwhile) or stands already; and ``entry``, the ledger's.
    """
    version = resolve(text, bare=CHALLENGER)
    number = str(version.version)  # MLflow says it as text or as a number
    standing = settle(case)
    outside = moved_outside(case)
    if standing == number and outside is None:
        return {
            "outcome": STANDS_ALREADY,
            "challenger": called(version),
            "entry": None,
            "checks": [],
        }
    decision, evidence = _decide(case, version, standing, override, outside)
    evidence |= {"retraining": dict(why)} if why else {}
    told = {"rule": decision["rule"], "reason": decision["reason"], "evidence": evidence}
    if not decision["promote"]:
        evidence["refused_by"] = decision["refused_by"]
        entry = note(case, "refuse", number, **told)
        return {"outcome": REFUSED, **decision, "entry": entry}
    done = move(case, "promote", number, standing, **told)
    if done is not None:
        return {"outcome": PROMOTED, **decision, "entry": done}
    return {"outcome": SUPERSEDED, **decision, "entry": _superseded(case, number, told)}


def compare_versions(case: Case, one: str, other: str, again: bool) -> dict[str, Any]:
    """Two versions on the same test images: what can be told of them, with an interval.

    ``again``: judge the second by its registered bytes on the test images of the first.
    """
    first, second = resolve(one), resolve(other)
    challenger = judged(case, first)
    champion = judge_again(case, second, challenger) if again else judged(case, second)
    options = case.rule or PromotionOptions(asks="better")
    found = compare(case.task, challenger, champion, options)
    return {
        "one": challenger.name,
        "other": champion.name,
        "primary": case.task.primary_metric,
        "images": len(challenger.predictions),
        "units": challenger.predictions["unit"].nunique(),
        "compared": "difference" in found.numbers,
        "checks": [check.record() for check in found.checks],
        **found.numbers,
    }


def _decide(
    case: Case, version: Any, standing: str | None, override: str | None, outside: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The decision, and the evidence that goes to the ledger with it."""
    try:
        challenger = judged(case, version)
    except EvidenceError as error:
        return _refused(case, version, standing, Check("evidence", False, str(error))), {}
    loads, evidence = check_loads(case, version, challenger)
    checks = [_check_alias(outside), _check_code(case.project, version, override), loads]
    champion: Judged | None = None
    if standing is not None:
        try:
            champion = _judge_champion(case, standing, challenger)
        except UNUSABLE as error:
            said = f"the champion cannot be judged: {error} Or: kedro model rollback {case.model}"
            checks.append(Check("champion", False, said))
            return _refused(case, version, standing, *checks), _evidence(challenger, evidence)
    decision = decide(case.task, challenger, champion, case.rule, checks)
    evidence = _evidence(challenger, evidence) | _numbers(decision)
    if override is not None:
        evidence["override"] = override
    return decision, evidence


def _judge_champion(case: Case, standing: str, challenger: Judged) -> Judged:
    """By what it said when it was judged, if that was of the same images; else by saying again."""
    version = resolve(f"{case.model}/{standing}")
    recorded = judged(case, version)
    known = champions(case.ledger.entries)[-1]["evidence"].get("test_predictions_sha256")
    same = recorded.bound["test_set"] == challenger.bound["test_set"] != "unknown"
    if same and predictions_digest(recorded.predictions) == known:
        return recorded
    return judge_again(case, version, challenger)


def _check_code(project: Path, version: Any, override: str | None) -> Check:
    """A7: what is not committed cannot be rebuilt. What ran may be committed afterwards: a run that
    is repeated would give this very version again, and not another one."""
    tags = run_tags(version)
    dirty, commit = tags.get("git.dirty", "unknown"), tags.get("git.commit", "unknown")
    if dirty == "false":
        return Check("committed_code", True, f"its run had committed code, {commit[:12]}")
    since = committed_since(project, tags.get(TREE, "unknown"), commit)
    if since:
        return Check("committed_code", True, f"its run's code was committed since, {since[:12]}")
    state = "uncommitted code" if dirty == "true" else "code of no known commit"
    if override:
        return Check("committed_code", True, f"its run had {state}; overridden: {override}")
    said = f"its run had {state}; commit it as it ran and promote again, or give --override REASON"
    return Check("committed_code", False, said)


def _check_alias(outside: str | None) -> Check:
    if outside is None:
        return Check("alias", True, "the alias champion is where the ledger put it")
    return Check("alias", False, f"{outside}; put it back by kedro model rollback MODEL")


def _refused(case: Case, version: Any, standing: str | None, *checks: Check) -> dict[str, Any]:
    failed = [check for check in checks if not check.held]
    return {
        "promote": False,
        "challenger": called(version),
        "champion": standing and f"{case.model}/{standing}",
        "reason": "; ".join(f"{check.rule}: {check.said}" for check in failed),
        "refused_by": [check.rule for check in failed],
        "checks": [check.record() for check in checks],
        "rule": case.rule.model_dump(mode="json") if case.rule else {},
    }


def _superseded(case: Case, number: str, told: dict[str, Any]) -> Entry | None:
    """Another was faster; where that was this very version there is nothing to tell."""
    now = settle(case)
    if now == number:
        return None
    reason = f"version {now} became champion while this one was judged; judge it again"
    return note(case, "hold", number, **{**told, "reason": reason})


def _evidence(challenger: Judged, loaded: dict[str, Any]) -> dict[str, Any]:
    said = predictions_digest(challenger.predictions)
    return {**challenger.bound, "test_predictions_sha256": said, **loaded}


def _numbers(decision: dict[str, Any]) -> dict[str, Any]:
    return {key: decision[key] for key in ("scores", "difference") if key in decision}
