"""The champion moves once, whole, whoever is killed and whoever comes at the same time."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from moved_models import MODEL, case_in, new_store

from graft.adapters.faults import readable
from graft.adapters.ledger import LedgerError
from graft.adapters.ledger.ledger import EXPORT, open_intent
from graft.adapters.ledger.mirror import HEAD, RUN
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.moving import move, moved_outside, note, settle, standing
from graft.adapters.registry import RegistryError, version_at

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


def start(case: Case, what: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), what, str(case.project), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


MOVED = {
    "before-intent": False,
    "after-intent": False,
    "before-alias": False,
    "after-alias": True,
    "before-outcome": True,
    "after-outcome": True,
    "before-mirror": True,
    "after-copy": True,
    "after-version": True,
    "after-head": True,
    "after-mirror": True,
}
"""Points at which a move is killed, and whether the next call completes it."""
OFTEN = ("after-intent", "after-alias", "after-head")
"""Points at which rollbacks, which go the same way as promotions, are killed in every suite."""


def kills() -> Iterator[Any]:
    for action in ("promote", "rollback"):
        for point in MOVED:
            seldom = action == "rollback" and point not in OFTEN
            yield pytest.param(action, point, marks=[pytest.mark.slow] if seldom else [])


@pytest.mark.parametrize("action, point", kills())
def test_move__is_completed_or_undone_after_a_kill_at_any_point(
    case: Case, action: str, point: str
) -> None:
    before, target = ("1", "2") if action == "promote" else ("2", "1")
    if action == "rollback":
        assert move(case, "promote", "2", "1", {}, "to be taken back", {}) is not None
    killed = start(case, "move", action, target, before, point)
    said, _ = killed.communicate(timeout=120)
    assert killed.returncode == -9, said
    case.ledger.path.with_suffix(".lock").unlink(missing_ok=True)  # not to wait until it expires
    champion = target if MOVED[point] else before
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
    movers = [start(case, "move", "promote", 2 + i % 2, "1") for i in range(number)]
    said = [mover.communicate(timeout=200)[0].strip().splitlines()[-1] for mover in movers]
    assert sorted(said) == ["moved", *["superseded"] * (number - 1)]
    assert version_at(MODEL, "champion") == standing(case.ledger)
    assert [entry["action"] for entry in case.ledger.entries] == ["promote"] * 4


ROUNDS = int(os.environ.get("GRAFT_TEST_ROUNDS", "5"))


@pytest.mark.slow
def test_move__of_six_processes_at_once_has_one_winner_each_time(case: Case) -> None:
    movers = [start(case, "rounds", place, ROUNDS) for place in range(6)]
    said = [mover.stdout for mover in movers if mover.stdout is not None]
    assert [lines.readline() for lines in said] == ["ready\n"] * 6
    for number in range(ROUNDS):
        before = version_at(MODEL, "champion")
        others = [version for version in "123" if version != before]
        part = case.project / f"go-{number}.part"
        part.write_text(" ".join([str(before), *others]))
        part.rename(case.project / f"go-{number}")
        told = [lines.readline().strip() for lines in said]
        assert sorted(told) == ["moved", *["superseded"] * 5]
        assert version_at(MODEL, "champion") == standing(case.ledger) in others
        assert len(case.ledger.entries) == 2 * (number + 2)
    assert [mover.wait(timeout=60) for mover in movers] == [0] * 6
    assert moved_outside(case) is None


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_move__goes_on_when_a_store_that_was_gone_comes_back(
    case: Case, monkeypatch: pytest.MonkeyPatch, action: str, moment: str
) -> None:
    before, target = ("1", "2") if action == "promote" else ("2", "1")
    if action == "rollback":
        assert move(case, "promote", "2", "1", {}, "to be taken back", {}) is not None
    whole = mlflow.MlflowClient.set_registered_model_alias
    away = case.project / "elsewhere.db"

    def losing(client: Any, *words: str) -> None:
        if moment == "after":
            whole(client, *words)
        (case.project / "mlflow.db").rename(away)
        _forget_connections()
        if moment == "before":
            whole(client, *words)

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", losing)
    for call in (
        lambda: move(case, action, target, before, {}, "a test", {}),
        lambda: settle(case),
    ):
        with pytest.raises((RegistryError, MlflowException)) as gone:  # and again, while it is gone
            call()
        assert "MLflow's store" in str(readable(gone.value))
        assert "bring the store back" in str(readable(gone.value))
    assert open_intent(case.ledger.entries) is not None or moment == "after"
    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", whole)
    away.rename(case.project / "mlflow.db")
    _forget_connections()
    champion = target if moment == "after" else before
    assert settle(case) == champion == version_at(MODEL, "champion")
    assert open_intent(case.ledger.entries) is None
    done = move(case, "promote", "3", champion, {}, "goes on", {})
    assert done is not None and version_at(MODEL, "champion") == "3"


def _forget_connections() -> None:
    """A file that was moved is still written to by those who have it open."""
    client = mlflow.MlflowClient()
    for store in (client._tracking_client.store, client._get_registry_client().store):
        store.engine.dispose()


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


def test_mirror__keeps_the_last_decision_on_a_version_beside_its_exports(case: Case) -> None:
    note(case, "refuse", "2", reason="better: no")
    shown = note(case, EXPORT, "2", reason="30 files, unsigned", evidence={"root_sha256": "a"})
    tags = mlflow.MlflowClient().get_model_version(MODEL, "2").tags
    assert (tags["promotion.action"], tags["promotion.reason"]) == ("refuse", "better: no")
    model = mlflow.MlflowClient().get_registered_model(MODEL)
    assert model.tags[HEAD] == shown["sha256"]
    note(case, EXPORT, "3", reason="30 files, unsigned")  # on which nothing was decided
    assert "promotion.action" not in mlflow.MlflowClient().get_model_version(MODEL, "3").tags


def test_check_mirror__tells_of_lines_that_were_cut_off(case: Case) -> None:
    note(case, "refuse", "2", reason="better: no")
    lines = case.ledger.path.read_text().splitlines(keepends=True)
    case.ledger.path.write_text("".join(lines[:-1]))
    with pytest.raises(LedgerError, match="not the one that MLflow has seen"):
        settle(case_in(case.project))
