"""Calls where no champion stands: what was refused once is told again, and not judged again."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graft.adapters.promotion import promoting
from graft.adapters.promotion.case import Case
from graft.adapters.retraining import looking, reasons, refusals, retraining
from graft.adapters.retraining.basis import Basis
from graft.adapters.retraining.exit_codes import ExitCode, exit_code
from graft.vision.promotion.options import PromotionOptions

MODEL = "tiny-classification"
RULE = PromotionOptions(asks="better", class_floor=0.9)
WHY = "class_floor: class wasp has recall 0.4; asked: at least 0.9"
MADE_BY = Basis("data", {"classification.probing.strengths": [0.1]}, "code", "lock")


@dataclass
class Project:
    """Whose first version was made by MADE_BY; what there is now, and whether anything trained."""

    case: Case
    now: Basis = MADE_BY
    trained: list[list[str]] = field(default_factory=list)

    def refuse(self, *refused_by: str, **retraining: Any) -> None:
        said = {"rule": self.case.rule.model_dump(mode="json") if self.case.rule else {}}
        evidence = {"refused_by": list(refused_by)} | retraining
        ledger = self.case.ledger
        with ledger.turn():
            ledger.write("refuse", "1", reason=WHY, evidence=evidence, **said)

    def call(self) -> dict[str, Any]:
        return retraining.retrain(retraining.Call(self.case.project, "tiny", "classification"))

    def promote(self, case: Case, text: str, why: dict[str, Any]) -> dict[str, Any]:
        self.trained.append([reason["reason"] for reason in why["reasons"]])
        self.refuse("class_floor", retraining=why)
        return {"outcome": "refused", "entry": case.ledger.entries[-1]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(Case(tmp_path, "tiny", MODEL, "classification", RULE, tmp_path, "tiny"))
    monkeypatch.setattr(retraining, "open_case", lambda *_: found.case)
    monkeypatch.setattr(retraining, "settle", lambda case: None)
    monkeypatch.setattr(retraining, "_run", lambda call, parent: f"{MODEL}/1")
    monkeypatch.setattr(promoting, "promote", found.promote)
    said = {"parameters": {"classification": {}}}
    monkeypatch.setattr(reasons, "open_conf", lambda *_: said)
    monkeypatch.setattr(looking, "look", lambda *_: SimpleNamespace(split_manifest=None))
    monkeypatch.setattr(reasons, "basis_now", lambda *_: found.now)
    version = SimpleNamespace(name=MODEL, version="1")
    monkeypatch.setattr(refusals, "resolve", lambda text: version)
    monkeypatch.setattr(refusals, "read_lineage", lambda version, project: {})
    monkeypatch.setattr(refusals, "recorded_basis", lambda record: MADE_BY)
    return found


def test_retrain__trains_where_nothing_was_refused_yet(project: Project) -> None:
    assert project.call()["outcome"] == "refused"
    assert project.trained == [["no champion"]]


def test_retrain__tells_a_refusal_again_and_appends_nothing(project: Project) -> None:
    project.refuse("class_floor")
    before = project.case.ledger.entries
    for found in (project.call(), project.call()):
        assert found["sentence"] == (
            f"{MODEL}/1 was made of all this and refused ({WHY}): no champion stands."
        )
        assert exit_code(found["outcome"]) == ExitCode.REFUSED
        assert (found["challenger"], found["entry"]) == (f"{MODEL}/1", before[-1])
        assert (found["decision"], found["reasons"]) == (None, [])
    assert not project.trained and project.case.ledger.entries == before


def test_retrain__judges_anew_by_another_rule(project: Project) -> None:
    project.refuse("class_floor")
    other = RULE.model_copy(update={"class_floor": 0.3})
    project.case = replace(project.case, rule=other)
    project.call()
    assert project.trained == [["no champion"]]
    assert project.case.ledger.entries[-1]["rule"]["class_floor"] == 0.3
    project.call()
    assert len(project.trained) == 1


@pytest.mark.parametrize("outside", refusals.OUTSIDE)
def test_retrain__judges_anew_what_was_refused_for_what_lies_outside(
    project: Project, outside: str
) -> None:
    project.refuse(outside)
    project.call()
    assert project.trained == [["no champion"]]


def test_retrain__follows_a_change_once_though_it_gives_the_same_version(project: Project) -> None:
    project.refuse("class_floor")
    project.now = replace(MADE_BY, parameters={"classification.probing.strengths": [0.2]})
    project.call()
    project.call()
    assert project.trained == [["no champion", "conf"]]


def test_retrain__trains_anew_where_the_refused_version_is_gone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(text: str) -> None:
        raise refusals.RegistryError(f"{text} is gone")

    project.refuse("class_floor")
    monkeypatch.setattr(refusals, "resolve", gone)
    project.call()
    assert project.trained == [["no champion"]]
