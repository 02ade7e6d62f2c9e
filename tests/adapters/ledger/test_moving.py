"""The champion moves once, whole, whoever is killed and whoever comes at the same time."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from moved_models import MODEL, case_in, new_store

from graft.adapters.ledger import LedgerError
from graft.adapters.ledger.mirror import HEAD, RUN
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.moving import move, moved_outside, note, settle, standing
from graft.adapters.registry import version_at

SCRIPT = Path(__file__).with_name("writing_process.py")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three versions, the first of them champion; to be copied, for a store takes long to make."""
    before, folder = mlflow.get_tracking_uri(), tmp_path_factory.mktemp("template")
    assert move(new_store(folder, 3), "promote", "1", None, {}, "the first", {}) is not None
    yield folder
    mlflow.set_tracking_uri(before)


@pytest.fixture
def case(template: Path, tmp_path: Path) -> Case:
    """A store of its own for each test."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    return case_in(tmp_path)


def start(case: Case, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), "move", str(case.project), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    "point, champion",
    [
        ("before-intent", "1"),
        ("after-intent", "1"),
        ("before-alias", "1"),
        ("after-alias", "2"),
        ("before-outcome", "2"),
        ("after-outcome", "2"),
        ("after-mirror", "2"),
    ],
)
def test_move__is_completed_or_undone_after_a_kill_at_any_point(
    case: Case, point: str, champion: str
) -> None:
    killed = start(case, "2", "1", point)
    said, _ = killed.communicate(timeout=120)
    assert killed.returncode == -9, said
    case.ledger.path.with_suffix(".lock").unlink(missing_ok=True)  # not to wait until it expires
    for _ in range(2):  # a second time changes nothing
        assert settle(case) == champion == version_at(MODEL, "champion")
        entries = case.ledger.entries
    assert case.ledger.entries == entries
    assert moved_outside(case) is None
    assert mlflow.MlflowClient().get_registered_model(MODEL).tags[HEAD] == entries[-1]["sha256"]
    done = move(case, "promote", "3", champion, {}, "goes on", {})
    assert done is not None and version_at(MODEL, "champion") == "3"


@pytest.mark.parametrize("number", [2, 6])
def test_move__of_several_at_once_has_one_winner(case: Case, number: int) -> None:
    movers = [start(case, 2 + i % 2, "1") for i in range(number)]
    said = [mover.communicate(timeout=200)[0].strip().splitlines()[-1] for mover in movers]
    assert sorted(said) == ["moved", *["superseded"] * (number - 1)]
    assert version_at(MODEL, "champion") == standing(case.ledger)
    assert [entry["action"] for entry in case.ledger.entries] == ["promote"] * 4


def test_move__is_refused_where_another_champion_stands(case: Case) -> None:
    assert move(case, "promote", "3", "2", {}, "late", {}) is None
    assert version_at(MODEL, "champion") == "1"


def test_moved_outside__tells_of_another_hand(case: Case) -> None:
    client = mlflow.MlflowClient()
    assert moved_outside(case) is None
    client.set_registered_model_alias(MODEL, "champion", "3")
    said = moved_outside(case)
    assert said is not None and "version 3" in said and "version 1" in said
    client.delete_registered_model_alias(MODEL, "champion")
    assert "gone" in str(moved_outside(case))


def test_mirror__shows_the_ledger_in_mlflow(case: Case) -> None:
    note(case, "refuse", "2", reason="better: no")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{RUN}'")
    local = Path(client.download_artifacts(run.info.run_id, case.ledger.path.name))
    assert local.read_bytes() == case.ledger.path.read_bytes()
    assert run.data.tags["champion"] == "1"
    tags = client.get_model_version(MODEL, "2").tags
    assert (tags["promotion.action"], tags["promotion.reason"]) == ("refuse", "better: no")


def test_check_mirror__tells_of_lines_that_were_cut_off(case: Case) -> None:
    note(case, "refuse", "2", reason="better: no")
    lines = case.ledger.path.read_text().splitlines(keepends=True)
    case.ledger.path.write_text("".join(lines[:-1]))
    with pytest.raises(LedgerError, match="not the one that MLflow has seen"):
        settle(case_in(case.project))
