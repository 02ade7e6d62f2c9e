"""A case run again with more images and `--params parent=`: sides stay, weights go on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from test_whole_road import ROOT, copy_project, draw_images, kedro

from graft.adapters import registry
from graft.adapters.conf import open_conf
from graft.adapters.datasets import ParentDataset
from graft.adapters.datasets.parent import task_of
from graft.adapters.lineage import parents
from graft.adapters.lineage.audit import audit_version
from graft.adapters.lineage.parents import keep_parent, kept_parent, parent_of, registered_parent
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.lineage.registered import registered_files
from graft.adapters.lineage.versions import open_registry, version_of
from graft.adapters.registry import AlteredModelError, RegistryError
from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.fine_tuned import training_digest
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.parents import start_from_parent
from graft.vision.data.options import IngestionOptions
from graft.vision.errors import OptionsError, WeightsError
from graft.vision.training.options import FineTuningOptions

MODEL = "tiny-classification"
MODELS = "data/06_models/tiny/classification"
SPLITS = "data/03_primary/tiny/classification/split_manifest.parquet"
IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org"]


@dataclass(frozen=True)
class Twice:
    """A project whose case was run, and with more images run again from its first version."""

    project: Path
    before: pd.DataFrame
    after: pd.DataFrame
    said: str


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    folder = tmp_path_factory.mktemp("parent")
    project = copy_project(folder / "project")
    draw_images(folder / "drawn", images=14)
    raw = project / "data/01_raw/tiny"
    shutil.copytree(folder / "drawn", raw, ignore=shutil.ignore_patterns("0[89].png", "1?.png"))
    shutil.copy(ROOT / ".gitignore", project)
    for command in (["init", "-q"], ["add", "-A"], [*IDENTITY, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True)
    done = kedro(project, "run", "--env", "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    before = pd.read_parquet(project / SPLITS)
    shutil.copytree(folder / "drawn", raw, dirs_exist_ok=True)
    done = kedro(project, "run", "--env", "tiny", "--params", f"parent={MODEL}@challenger")
    assert done.returncode == 0, done.stderr[-3000:]
    here = Path.cwd()
    open_registry(project)
    yield Twice(project, before, pd.read_parquet(project / SPLITS), done.stderr)
    os.chdir(here)


def card_of(project: Path, contender: str) -> dict[str, Any]:
    return dict(json.loads((project / MODELS / contender / "card.json").read_text()))


def test_run__from_a_parent_keeps_sides_and_judges_on_new_images_too(twice: Twice) -> None:
    before, after = (
        dict(zip(rows["id"], rows["split"], strict=True)) for rows in (twice.before, twice.after)
    )
    assert len(before) == 24 and len(after) == 42
    assert {name: after[name] for name in before} == before
    added = [side for name, side in after.items() if name not in before]
    assert {"train", "test"} <= set(added)
    assert f"parent: {MODEL}/1" in twice.said


def test_run__from_a_parent_starts_from_its_weights(twice: Twice) -> None:
    parent = registered_parent(f"{MODEL}/1")
    assert set(parent.split_manifest["id"]) == set(twice.before["id"])
    said = card_of(twice.project, "fine_tuned")["facts"]["parent"]
    assert said["name"] == f"{MODEL}/1" and said["head"] == "of the parent"
    assert said["weights_sha256"] == parent.weights_sha256
    for other in ("probe", "scratch"):
        assert "parent" not in card_of(twice.project, other)["facts"]
    ground, options = ground_of(twice.project)
    model = ground.new_model()
    without = training_digest("fine_tuned", ground, model, options)
    start_from_parent(ground, model, None, parent)
    started = training_digest("fine_tuned", ground, model, options)
    folder = twice.project / MODELS / "checkpoints"  # a training is named by what it started from
    assert list(folder.glob(f"fine_tuned-{started[:16]}*"))
    assert not list(folder.glob(f"fine_tuned-{without[:16]}*"))


def ground_of(project: Path) -> tuple[Ground, FineTuningOptions]:
    """What the second run trained on."""
    block = open_conf(project / "conf", "tiny")["parameters"]["classification"]
    card, classes, policy = (
        json.loads((project / SPLITS).with_name(f"{name}.json").read_text())
        for name in ("backbone_card", "class_table", "augmentation_policy")
    )
    ground = lay_ground(
        block["task"],
        classes,
        pd.read_parquet(project / SPLITS),
        project / "data/02_intermediate/pixels",
        IngestionOptions.model_validate(block["ingestion"]),
        BackboneOptions.model_validate(block["backbone"]),
        card,
        policy,
        block["seed"],
    )
    return ground, FineTuningOptions.model_validate(block["fine_tuning"])


def test_record__names_the_parent_and_is_audited(twice: Twice) -> None:
    first, second = (read_lineage(version_of(f"{MODEL}/{n}")) for n in (1, 2))
    assert first["parent"] == "none"
    tuned = second["model"]["contender"] == "fine_tuned"
    assert second["parent"] == {
        "name": MODEL,
        "version": "1",
        "weights_sha256": registered_parent(f"{MODEL}/1").weights_sha256,
        "gave": "split and weights" if tuned else "split",
    }
    assert second["configuration"]["overrides"] == {"parent": f"{MODEL}@challenger"}
    rows = {
        row["fact"]: row for row in audit_version(twice.project, version_of(f"{MODEL}/2"))["rows"]
    }
    assert {rows[fact]["status"] for fact in ("parent", "configuration", "splits")} == {"holds"}
    assert rows["parent"]["recorded"].startswith(f"{MODEL}/1, weights ")


@pytest.mark.slow
def test_reproduce__starts_from_the_same_parent(twice: Twice) -> None:
    done = kedro(twice.project, "model", "reproduce", f"{MODEL}/2", "--json")
    assert json.loads(done.stdout)["result"] == "identical", done.stdout + done.stderr[-3000:]


def test_parent__is_laid_out_for_a_run_that_has_no_registry(twice: Twice, tmp_path: Path) -> None:
    said = parent_of(read_lineage(version_of(f"{MODEL}/2")))
    assert said is not None
    keep_parent(said, tmp_path / "kept")
    dataset = ParentDataset("classification", str(tmp_path / "kept"), f"{MODEL}/1")
    kept, registered = dataset.load(), registered_parent(f"{MODEL}/1")
    assert type(kept).__name__ == "KeptParent" and kept is dataset.load()
    assert (kept.name, kept.weights_sha256) == (registered.name, registered.weights_sha256)
    pd.testing.assert_frame_equal(kept.split_manifest, registered.split_manifest)
    assert kept.model.card == registered.model.card
    (tmp_path / "kept/model.safetensors").write_bytes(b"altered")
    with pytest.raises(WeightsError, match="was altered"):
        _ = kept_parent(tmp_path / "kept", f"{MODEL}/1").model
    with pytest.raises(AlteredModelError, match="is not the recorded one"):
        keep_parent({**said, "weights_sha256": "0" * 64}, tmp_path / "other")


def test_parent__of_altered_bytes_is_refused(twice: Twice) -> None:
    with registered_files(version_of(f"{MODEL}/1")) as folder:
        weights = folder / "artifacts/model/model.safetensors"
        before = weights.read_bytes()
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        try:
            with pytest.raises(AlteredModelError, match="weights_sha256"):
                _ = registered_parent(f"{MODEL}/1").model
        finally:
            weights.write_bytes(before)


def test_parent__knows_what_those_knew_whose_weights_it_started_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An image that was withheld in between was learned from all the same."""
    versions = {
        n: SimpleNamespace(name=MODEL, version=n, tags={"lineage_sha256": n}) for n in "123"
    }
    gave = {"3": ("2", "split and weights"), "2": ("1", "split and weights"), "1": None}
    knew = {"3": [("a", "test")], "2": [("a", "test"), ("b", "val")], "1": [("c", "train")]}

    def split_of(version: Any) -> pd.DataFrame:
        rows = [(name, f"bytes of {name}", side) for name, side in knew[version.version]]
        return pd.DataFrame(rows, columns=parents.COLUMNS)

    def record_of(version: Any, project: Path) -> dict[str, Any]:
        said = gave[version.version]
        return {"parent": said and {"name": MODEL, "version": said[0], "gave": said[1]}}

    monkeypatch.setattr(parents, "_split_of", split_of)
    monkeypatch.setattr(parents, "read_lineage", record_of)
    monkeypatch.setattr(registry, "resolve", lambda text: versions[text.rpartition("/")[2]])
    known = registered_parent(f"{MODEL}/3").split_manifest
    assert list(known["id"]) == ["a", "a", "b", "c"]
    gave["3"] = ("2", "split")  # the probe of that run: its weights are nobody's
    assert list(registered_parent(f"{MODEL}/3").split_manifest["id"]) == ["a"]


@pytest.mark.parametrize("parent", ["tiny-clasification/1", MODEL, "@champion", "", 3])
def test_parent__must_name_a_version_of_a_model_of_a_task(parent: object) -> None:
    with pytest.raises(OptionsError, match="allowed: CASE-TASK/VERSION or CASE-TASK@ALIAS"):
        task_of(parent)


def test_parent__that_is_not_registered_is_refused_with_what_is(twice: Twice) -> None:
    with pytest.raises(RegistryError, match="has no version 7; allowed: versions 2, 1"):
        registered_parent(f"{MODEL}/7")


def test_run__refuses_a_parent_that_names_no_model_before_it_does_anything(twice: Twice) -> None:
    done = kedro(twice.project, "run", "--env", "tiny", "--params", "parent=tiny-clasification/1")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "parameters: parent; found: 'tiny-clasification/1'" in done.stderr
    assert "read_manifest" not in done.stderr


def test_parent__that_is_none_or_of_another_task_costs_nothing() -> None:
    script = (
        "import sys; from graft.adapters.datasets import ParentDataset; "
        "names = None, 'case-detection/1'; "
        "print([ParentDataset('classification', 'nowhere', name).load() for name in names], "
        "sorted({'torch', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[None, None] []", done.stderr[-1000:]
