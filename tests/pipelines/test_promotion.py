"""From registered versions to champions and back, with real models in a real registry."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from promoted_cases import MODEL, RULE, Registry, Snapshot, open_registry, predict_here, some
from test_whole_road import copy_project

from graft.adapters.ledger.chain import LedgerError
from graft.adapters.lineage import DIGEST_TAG, parents
from graft.adapters.lineage.parents import SPLIT_AND_WEIGHTS
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.clean_process import predict_cleanly
from graft.adapters.promotion.promoting import compare_versions, promote
from graft.adapters.promotion.rolling_back import RollbackError, roll_back
from graft.adapters.registry import AlteredModelError, RegistryError, resolve, verified, version_at
from graft.commands.model import model as model_command

WEAK, STRONG = "1", "2"
"""Versions that are registered in every test: right on 2 of 9 images, and on all."""
CLEAN = "graft.adapters.promotion.loading.predict_cleanly"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Both versions, none of them champion; the address of MLflow is as before when it ends."""
    before = mlflow.get_tracking_uri()
    found = open_registry(tmp_path_factory.mktemp("registry"))
    assert [found.register(some(number)) for number in (2, 9)] == [WEAK, STRONG]
    yield found
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def snapshot(registered: Registry, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return Snapshot(registered, tmp_path_factory.mktemp("kept") / "registry")


@pytest.fixture(scope="module")
def snapshot_of_two(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    with (
        pytest.MonkeyPatch.context() as patched,
        snapshot.laid(tmp_path_factory.mktemp("two")) as registry,
    ):
        patched.setattr(CLEAN, predict_here)
        for version in (WEAK, STRONG):
            assert promote(registry.case, f"{MODEL}/{version}")["outcome"] == "promoted"
        database = Path(mlflow.get_tracking_uri().removeprefix("sqlite:///"))
        shutil.copy(database, registry.case.project)
        return Snapshot(registry, tmp_path_factory.mktemp("kept") / "registry")


@pytest.fixture
def registry(snapshot: Snapshot, tmp_path: Path) -> Iterator[Registry]:
    """Both versions, none of them champion."""
    with snapshot.laid(tmp_path) as registry:
        yield registry


@pytest.fixture
def two(snapshot_of_two: Snapshot, tmp_path: Path) -> Iterator[Registry]:
    """The strong one is champion, and the weak one was before it."""
    with snapshot_of_two.laid(tmp_path) as registry:
        yield registry


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions in this process: for tests of the rule, and not of the clean process."""
    monkeypatch.setattr(CLEAN, predict_here)


def files_of(version: str) -> Path:
    """Where the registered files of a version lie."""
    uri = mlflow.MlflowClient().get_model_version_download_uri(MODEL, version)
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def forge(version: str) -> None:
    """Make the tags those of the files as they are now, whatever they were."""
    from graft.adapters.registry import digests_in
    from graft.vision.model import read_card
    from graft.vision.records import digest_of

    found = digests_in(files_of(version))
    card = read_card(files_of(version) / "artifacts/model")
    parts = [found["weights_sha256"], card.identity, found["code_sha256"]]
    found["identity_sha256"] = digest_of(parts)
    for name, value in found.items():
        mlflow.MlflowClient().set_model_version_tag(MODEL, version, name, value)


def command(case: Case, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """`kedro model ...` in this process, on this case."""
    monkeypatch.setattr("graft.adapters.promotion.case.open_case", lambda *_: case)
    return CliRunner().invoke(model_command, list(words), obj=SimpleNamespace(project_path="."))


def test_promote_and_rollback__tell_the_whole_story(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak, strong, equal = WEAK, STRONG, registry.register(some(9), seed=1)
    first = promote(registry.case, f"{MODEL}/{weak}")  # in a clean process
    assert (first["outcome"], first["champion"]) == ("promoted", None), first["reason"]

    monkeypatch.setattr(CLEAN, predict_here)
    said = command(registry.case, monkeypatch, "promote", f"{MODEL}/{strong}")
    assert said.exit_code == 0, said.output
    assert f"{MODEL}/{strong} is champion now." in said.output
    assert version_at(MODEL, "champion") == strong

    said = command(registry.case, monkeypatch, "promote", MODEL)  # the challenger: the last one
    assert said.exit_code == 3 and "is refused by: better." in said.output
    again = promote(registry.case, f"{MODEL}/{strong}")
    assert (again["outcome"], again["entry"]) == ("stands already", None)
    assert promote(registry.by(asks="not_worse"), MODEL)["outcome"] == "promoted"

    recorded = {e["version"]: e["evidence"] for e in registry.case.ledger.entries}
    for version in (strong, weak):
        if version == weak:  # in a clean process again
            monkeypatch.setattr(CLEAN, predict_cleanly)
        said = command(registry.case, monkeypatch, "rollback", MODEL, "--json")
        assert said.exit_code == 0, said.output
        found = json.loads(said.stdout)
        assert found["version"] == version == version_at(MODEL, "champion")
        wanted = recorded[version]["predictions_sha256"]
        assert found["entry"]["evidence"]["predictions_sha256"] == wanted
        assert "bit-identical" in found["predictions"]
    with pytest.raises(RollbackError, match="no earlier champion"):
        roll_back(registry.case, MODEL)
    with pytest.raises(RollbackError, match=f"version {equal} .* no champion to go back to"):
        roll_back(registry.case, f"{MODEL}/{equal}")
    _tell_history(registry.case, monkeypatch, [weak, strong, strong, equal, strong, weak])


def _tell_history(case: Case, monkeypatch: pytest.MonkeyPatch, versions: list[str]) -> None:
    said = json.loads(command(case, monkeypatch, "history", MODEL, "--json").stdout)
    moves = [e for e in said["entries"] if e["state"] == "done" and e["action"] != "refuse"]
    for entry in moves:
        at = command(case, monkeypatch, "history", MODEL, "--json", "--at", entry["time"])
        assert json.loads(at.stdout)["champion"] == entry["version"]
    plain = command(case, monkeypatch, "history", MODEL)
    assert plain.exit_code == 0 and f"champion now: version {versions[0]}" in plain.output
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", versions[3])
    plain = command(case, monkeypatch, "history", MODEL)
    assert plain.exit_code == 3 and "moved by another hand" in plain.output
    lines = case.ledger.path.read_text().splitlines()
    lines[3] = lines[3].replace("promote", "refuse")
    case.ledger.path.write_text("\n".join(lines) + "\n")
    plain = command(case, monkeypatch, "history", MODEL)
    assert plain.exit_code == 1 and "line 4 is changed" in plain.output


def test_promote__that_comes_second_is_told_so_and_moves_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*asked: Any) -> Any:
        monkeypatch.setattr(CLEAN, predict_here)
        assert promote(registry.case, f"{MODEL}/{WEAK}")["outcome"] == "promoted"
        return predict_here(*asked)

    monkeypatch.setattr(CLEAN, meanwhile)
    found = promote(registry.case, f"{MODEL}/{STRONG}")
    assert (found["outcome"], found["entry"]["action"]) == ("superseded", "hold")
    assert f"version {WEAK} became champion while" in found["entry"]["reason"]
    assert version_at(MODEL, "champion") == WEAK
    assert promote(registry.case, f"{MODEL}/{STRONG}")["outcome"] == "promoted"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("fault", ["deleted", "corrupt"])
def test_rollback__works_when_the_champion_is_lost(two: Registry, fault: str) -> None:
    if fault == "deleted":
        mlflow.MlflowClient().delete_model_version(MODEL, "2")
    else:
        flip_a_byte(files_of("2") / "artifacts/model/model.safetensors")
    found = roll_back(two.case, MODEL)
    assert (found["version"], found["replaced"]) == ("1", "2")
    assert "bit-identical" in found["predictions"]
    assert version_at(MODEL, "champion") == "1"


@pytest.mark.usefixtures("here")
def test_rollback__puts_back_an_alias_that_another_hand_moved(two: Registry) -> None:
    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", "1")
    refused = promote(two.case, f"{MODEL}/1")
    assert refused["outcome"] == "refused" and "alias" in refused["refused_by"]
    found = roll_back(two.case, MODEL)
    assert found["version"] == "2" == version_at(MODEL, "champion")
    assert "another hand" in found["reason"]


def test_rollback__refuses_a_target_that_was_altered(two: Registry) -> None:
    flip_a_byte(files_of("1") / "artifacts/model/model.safetensors")
    with pytest.raises(AlteredModelError, match="weights_sha256"):
        roll_back(two.case, MODEL, override="it must be")
    assert version_at(MODEL, "champion") == "2"


def test_promote__refuses_files_that_were_altered_and_names_both_digests(
    registry: Registry,
) -> None:
    folder = files_of(STRONG)
    for change, named in (
        (lambda: (folder / "python_model.pkl").write_bytes(b"x"), "python_model.pkl added"),
        (lambda: (folder / "code/graft/more.py").write_text("x = 1"), "code_sha256"),
        (lambda: flip_a_byte(folder / "artifacts/model/model.safetensors"), "weights_sha256"),
    ):
        change()
        refused = promote(registry.case, MODEL)
        assert refused["refused_by"] == ["load"] and named in refused["reason"]
        (folder / "python_model.pkl").unlink(missing_ok=True)
        (folder / "code/graft/more.py").unlink(missing_ok=True)
    expected = resolve(MODEL, "challenger").tags["weights_sha256"]
    assert expected in refused["reason"]
    assert version_at(MODEL, "champion") is None


def test_promote__refuses_what_does_not_load(registry: Registry) -> None:
    weights = files_of(STRONG) / "artifacts/model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    forge(STRONG)
    refused = promote(registry.case, MODEL)
    assert refused["refused_by"] == ["load"] and "clean process" in refused["reason"]


@pytest.mark.usefixtures("here")
def test_promote__refuses_other_predictions_than_were_recorded(registry: Registry) -> None:
    weak, strong = files_of(WEAK), files_of(STRONG) / "artifacts/model"
    for name in ("model.safetensors", "sha256.json"):  # with the manifest that would give it away
        (strong / name).write_bytes((weak / "artifacts/model" / name).read_bytes())
    listed = json.loads((strong / "sha256.json").read_text())
    listed["card.json"] = hashlib.sha256((strong / "card.json").read_bytes()).hexdigest()
    (strong / "sha256.json").write_text(json.dumps(listed))
    forge(STRONG)
    refused = promote(registry.case, MODEL)
    assert refused["refused_by"] == ["load"] and "otherwise than recorded" in refused["reason"]


def test_promote__refuses_a_model_that_takes_too_long(registry: Registry) -> None:
    refused = promote(registry.by(check_timeout_s=0.1), MODEL)
    assert refused["refused_by"] == ["load"] and "within 0.1 s" in refused["reason"]


@pytest.mark.usefixtures("here")
def test_promote__takes_uncommitted_code_with_a_recorded_reason_only(registry: Registry) -> None:
    registry.register(some(9), seed=1, dirty="true")
    assert promote(registry.case, MODEL)["refused_by"] == ["committed_code"]
    done = promote(registry.case, MODEL, override="a demonstration")
    assert done["outcome"] == "promoted"
    assert done["entry"]["evidence"]["override"] == "a demonstration"


@pytest.mark.usefixtures("here")
def test_promote__takes_code_that_was_committed_as_it_ran(registry: Registry) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        command = ["git", "-C", str(registry.case.project), *who, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    registry.register(some(9), seed=1, dirty="true")
    run = resolve(MODEL + "@challenger").run_id
    git("init", "-q")
    git("commit", "-qm", "before the run", "--allow-empty")
    mlflow.MlflowClient().set_tag(run, "git.commit", git("rev-parse", "HEAD"))
    git("add", "written")
    mlflow.MlflowClient().set_tag(run, "git.tree", git("write-tree"))
    refused = promote(registry.case, MODEL)
    assert refused["refused_by"] == ["committed_code"]
    assert "commit it as it ran and promote again" in refused["reason"]
    git("commit", "-qm", "after it")
    assert promote(registry.case, MODEL)["outcome"] == "promoted"


@pytest.mark.usefixtures("here")
def test_promote__without_a_rule_means_no(registry: Registry) -> None:
    case = Case(**{**vars(registry.case), "rule": None})
    assert promote(case, MODEL)["refused_by"] == ["rule"]


def relabelled(registry: Registry) -> Any:
    rows = registry.split.copy()
    rows.loc[0, "truth"] = json.dumps({"classes": ["bee" if "ant" in rows["truth"][0] else "ant"]})
    return rows


@pytest.mark.usefixtures("here")
def test_promote__judges_the_champion_again_where_the_test_set_changed(registry: Registry) -> None:
    assert promote(registry.case, f"{MODEL}/{WEAK}")["outcome"] == "promoted"
    registry.register(some(9), seed=1, split=relabelled(registry))
    unlike = compare_versions(registry.case, f"{MODEL}@challenger", MODEL, again=False)
    failed = [check for check in unlike["checks"] if not check["held"]]
    assert not unlike["compared"]
    assert [check["rule"] for check in failed] == ["test_set", "test_images"]
    assert compare_versions(registry.case, f"{MODEL}@challenger", MODEL, again=True)["compared"]
    decision = promote(registry.case, MODEL)
    assert decision["outcome"] == "promoted", decision["reason"]
    assert decision["scores"]["champion"] < 0.4


def test_compare__names_a_test_image_that_was_trained_on(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaking = registry.split.copy()
    leaking.loc[len(leaking) - 1, "cluster"] = leaking["cluster"][0]  # a re-encoded copy in train
    version = registry.register(some(9), seed=1, split=leaking)
    said = command(registry.case, monkeypatch, "compare", f"{MODEL}/{version}", f"{MODEL}/{WEAK}")
    assert said.exit_code == 3
    assert f"{leaking['id'][0]} (a near-copy)" in said.output


def test_promote__refuses_a_model_whose_parent_has_learned_from_a_test_image(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own split tells nothing of what the weights that it started from had seen."""
    image = registry.split[registry.split["split"] == "test"].iloc[[0]]
    before = image.assign(id="then.png", path="then.png", cluster="then", split="train")
    split = pd.concat([registry.split, before], ignore_index=True)
    parent = registry.register(some(9), seed=1, split=split)
    version = registry.register(some(9), seed=2)
    said = {"name": MODEL, "version": parent, "gave": SPLIT_AND_WEIGHTS}
    monkeypatch.setattr(parents, "read_lineage", lambda version, project: {"parent": said})
    mlflow.MlflowClient().set_model_version_tag(MODEL, version, DIGEST_TAG, "recorded")
    decision = promote(registry.case, f"{MODEL}/{version}")
    assert decision["outcome"] == "refused" and "leak" in decision["refused_by"]
    assert image["id"].iloc[0] in decision["reason"]
    said["version"] = "77"
    decision = promote(registry.case, f"{MODEL}/{version}")
    assert decision["refused_by"] == ["evidence"]
    assert f"what {MODEL}/{version} started from is not known" in decision["reason"]


def test_resolve__names_what_there_is(registry: Registry) -> None:
    assert resolve(f"{MODEL}/{STRONG}").version == resolve(f"{MODEL}@challenger").version
    for text, named in (
        (f"{MODEL}/7", "versions 2, 1; aliases challenger"),
        (MODEL, "has no alias champion"),
        ("other-classification", f"models {MODEL}"),
        ("a/b/c", "NAME@alias"),
    ):
        with pytest.raises(RegistryError, match=named):
            resolve(text)
    with verified(resolve(MODEL, "challenger")) as folder:
        assert (folder / "MLmodel").is_file()


def test_check_mirror__is_asked_before_anything_moves(two: Registry) -> None:
    lines = two.case.ledger.path.read_text().splitlines(keepends=True)
    two.case.ledger.path.write_text("".join(lines[:-1]))
    with pytest.raises(LedgerError, match="MLflow has seen"):
        roll_back(two.case, MODEL)


def test_commands__find_the_case_by_the_name_of_its_model(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path / "project")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def said(*words: str) -> Result:
        standing = SimpleNamespace(project_path=project)
        return CliRunner().invoke(model_command, list(words), obj=standing)

    found = said("history", MODEL)
    assert found.exit_code == 0 and "champion now: none" in found.output
    found = said("history", "nothing-classification")
    assert found.exit_code == 1 and "names no registered model of a case here" in found.output
    found = said("promote", MODEL)  # the images are not in this project: said, and not promoted
    assert found.exit_code == 3 and "load" in found.output and "is not there" in found.output
    assert RULE.asks == "better"
