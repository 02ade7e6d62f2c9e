"""Reasons that the ledger decides: what was refused before, and when anything was last judged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graft.adapters.ledger import Ledger, ledger
from graft.adapters.promotion.case import Case
from graft.adapters.retraining import reasons, refusals
from graft.adapters.retraining.basis import Basis, Reason
from graft.vision.promotion.options import PromotionOptions

MODEL = "tiny-classification"
BASIS = Basis("data", {}, "code", "lock")


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Version 1 stands, version 2 was made of all that there is now."""
    monkeypatch.setattr(
        refusals, "resolve", lambda text: SimpleNamespace(name=MODEL, version=text[-1])
    )
    monkeypatch.setattr(refusals, "read_lineage", lambda version, project: version.version)
    monkeypatch.setattr(
        refusals, "recorded_basis", lambda record: BASIS if record == "2" else Basis("", {}, "", "")
    )
    return Case(tmp_path, "tiny", MODEL, "classification", None, tmp_path, "tiny")


def write(found: Ledger, *said: tuple[str, str]) -> None:
    with found.turn():
        for action, version in said:
            found.write(action, version)


@pytest.mark.parametrize(
    "since", [(), (("hold_batch", "1"),), (("export", "1"), ("hold_batch", "1"))]
)
def test_refused_before__is_known_whatever_was_noted_of_the_champion_since(
    case: Case, since: tuple[tuple[str, str], ...]
) -> None:
    write(case.ledger, ("promote", "1"), ("refuse", "2"), *since)
    refused = refusals.refused_before(case, BASIS)
    assert refused is not None and (refused["model"], refused["version"]) == (MODEL, "2")


def test_refused_before__does_not_count_before_the_champion_moved(case: Case) -> None:
    write(case.ledger, ("refuse", "2"), ("promote", "1"))
    assert refusals.refused_before(case, BASIS) is None


def test_refused_before__does_not_count_by_another_rule(case: Case) -> None:
    write(case.ledger, ("promote", "1"), ("refuse", "2"))
    assert (
        refusals.refused_before(replace(case, rule=PromotionOptions(asks="better")), BASIS) is None
    )


def reason(setting: str) -> Reason:
    return Reason("conf", f"Conf has changed: {setting}.", {setting: {"before": "1", "now": "2"}})


def follow(found: Ledger, action: str, version: str, *reasons: Reason) -> None:
    evidence = {"retraining": {"reasons": [each.record() for each in reasons]}}
    with found.turn():
        found.write(action, version, evidence=evidence)


@pytest.mark.parametrize("action", ["made_again", "refuse"])
def test_changes__that_gave_a_known_version_are_not_followed_again(case: Case, action: str) -> None:
    changed, age = reason("a"), Reason("age", "It is 8.0 days old.", {"days": 8.0})
    follow(case.ledger, "promote", "1", changed)
    assert refusals.followed_before(case, [changed]) is None
    follow(case.ledger, action, "1", changed, age)
    write(case.ledger, ("export", "1"))
    again = refusals.followed_before(case, [changed])
    assert again is not None and (again["action"], again["version"]) == (action, "1")
    assert refusals.followed_before(case, [changed, reason("b")]) is None
    assert refusals.followed_before(case, []) is None
    write(case.ledger, ("promote", "3"))
    assert refusals.followed_before(case, [changed]) is None


@pytest.mark.parametrize("judged", ["refuse", "made_again"])
def test_age__is_counted_from_the_last_decision_and_not_from_an_export(
    case: Case, monkeypatch: pytest.MonkeyPatch, judged: str
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=30)
    made = int(long_ago.timestamp() * 1000)
    champion: Any = SimpleNamespace(name=MODEL, version="1", creation_timestamp=made)
    with monkeypatch.context() as then:
        then.setattr(ledger, "now", long_ago.isoformat)
        write(case.ledger, ("promote", "1"))
    write(case.ledger, ("export", "1"))
    (reason,) = reasons._of_age(case, champion, max_age_days=7)
    assert "30.0 days old" in reason.sentence
    write(case.ledger, (judged, "1"))
    assert not [*reasons._of_age(case, champion, max_age_days=7)]
