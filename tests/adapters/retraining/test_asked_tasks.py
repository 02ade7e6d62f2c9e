"""`kedro retrain --namespaces`: what is asked for is known before anything is done."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from graft.adapters.retraining import retraining
from graft.adapters.retraining.exit_codes import ExitCode
from graft.commands.retrain import retrain


@pytest.fixture
def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that are looked at, of a case that has two."""
    for task in ("classification", "detection"):
        file = tmp_path / f"conf/tiny/parameters/{task}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found: list[str] = []

    def look(call: retraining.Call) -> dict[str, object]:
        found.append(call.task)
        told = {"model": call.model, "outcome": "stands", "sentence": "It stands."}
        return {**retraining.NOTHING, **told}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retraining, "retrain", look)
    return found


def call(*options: str) -> Result:
    project = SimpleNamespace(project_path=Path.cwd())
    return CliRunner().invoke(retrain, ["--env", "tiny", *options], obj=project)


def test_namespaces__name_tasks_of_the_case_each_once(looked_at: list[str]) -> None:
    assert call("--namespaces", "detection, classification,detection").exit_code == 0
    assert looked_at == ["detection", "classification"]
    assert call().exit_code == 0
    assert looked_at[2:] == ["classification", "detection"]


@pytest.mark.parametrize("named", ["clasification", "detection,clasification"])
def test_namespaces__of_no_task_of_the_case_are_a_wrong_call(
    looked_at: list[str], named: str
) -> None:
    done = call("--namespaces", named)
    assert done.exit_code == ExitCode.USAGE and looked_at == []
    assert "the case tiny has no task 'clasification' (did you mean 'classification'?)" in (
        " ".join(done.output.split())
    )
    assert "allowed: classification, detection" in " ".join(done.output.split())


@pytest.mark.parametrize("named", ["segmentation", ""])
def test_namespaces__of_another_case_or_none_are_a_wrong_call(
    looked_at: list[str], named: str
) -> None:
    assert call("--namespaces", named).exit_code == ExitCode.USAGE
    assert looked_at == []
