"""A model of boxes and one of masks, registered by a run of its own, answer all that is asked."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from test_audit import IDENTITY, do, edited, faults, planted
from test_bad_dense_input import RAW, SMALL, SOURCES, draw_scenes
from test_whole_road import copy_project, kedro

from graft.adapters.lineage.audit import audit_version
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.lineage.used import used
from graft.adapters.lineage.versions import open_registry, version_of
from graft.adapters.promotion.case import open_case
from graft.adapters.promotion.evidence import judged

BEFORE = "ingestion,augmentation,feature_extraction,probing,fine_tuning,evaluation"
TASKS = ("detection", "segmentation")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A case of both tasks under Git and DVC: judged by one process, registered by another."""
    project = copy_project(tmp_path_factory.mktemp("dense") / "project")
    draw_scenes(project / RAW)
    parameters = project / "conf/tiny/parameters"
    for file in parameters.iterdir():
        file.unlink()
    for task in TASKS:
        settings = {**SMALL, "control": {"epochs": 1}, "evaluation": {"resamples": 100}}
        settings["ingestion"] = {**SMALL["ingestion"], "source": SOURCES[task]}
        (parameters / f"{task}.yml").write_text(yaml.safe_dump({task: settings}))
    shutil.copy(Path(__file__).resolve().parents[2] / ".gitignore", project)
    do(project, "git", "init", "-q")
    dvc = [sys.executable, "-m", "dvc"]
    do(project, *dvc, "init", "-q")
    do(project, *dvc, "add", "-q", RAW)
    do(project, "git", "add", "-A")
    do(project, "git", *IDENTITY, "commit", "-qm", "first")
    for pipelines in (BEFORE, "registration"):
        done = kedro(project, "run", "--env", "tiny", "--pipelines", pipelines)
        assert done.returncode == 0, done.stderr[-3000:]
    before = Path.cwd()
    open_registry(project)
    yield project
    os.chdir(before)


def audited(project: Path, task: str) -> dict[str, dict[str, Any]]:
    """The rows that do not hold, by fact."""
    report = audit_version(project, version_of(f"tiny-{task}"))
    return {row["fact"]: row for row in report["rows"] if row["status"] != "holds"}


@pytest.mark.parametrize("task", TASKS)
def test_dense_record__answers_every_line_and_holds(project: Path, task: str) -> None:
    report = audit_version(project, version_of(f"tiny-{task}"))
    assert report["holds"], [row for row in report["rows"] if row["status"] != "holds"]
    record = read_lineage(version_of(f"tiny-{task}"))
    assert "unknown" not in str({**record, "live": ""})
    assert record["data"]["dvc_verified"] == "folder"
    made = {stage["stage"]: stage["run_id"] for stage in record["stages"]}
    assert made["evaluation"] not in ("unknown", record["model"]["recorded_by_run"])
    assert record["annotations"]["files"]["count"] > 14
    assert used(project, "JPEGImages/03.png")["versions"]


@pytest.mark.parametrize("task", TASKS)
def test_registering_run__keeps_what_a_decision_rests_on_whoever_made_it(
    project: Path, task: str
) -> None:
    import mlflow

    version = version_of(f"tiny-{task}")
    there = {file.path for file in mlflow.MlflowClient().list_artifacts(version.run_id, task)}
    names = ("split_manifest.parquet", "test_predictions.parquet", "model_card.json")
    assert {f"{task}/{name}" for name in names} <= there
    record = project / f"data/08_reporting/tiny/{task}/registered_model.json"
    with planted(record, b"{}"):  # a later registration stands in the case's folders
        found = judged(open_case(project, f"tiny-{task}"), version)
    kept = pd.read_parquet(project / f"data/03_primary/tiny/{task}/split_manifest.parquet")
    assert set(found.predictions["id"]) == set(kept.loc[kept["split"] == "test", "id"])
    assert found.split_manifest is not None and len(found.split_manifest) == len(kept)


def test_dense_audit__names_a_changed_pixel_of_a_mask(project: Path) -> None:
    file = project / RAW / "masks/03.png"
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    mask[0, 0] = 1
    with planted(file, cv2.imencode(".png", mask)[1].tobytes()):
        rows = audited(project, "segmentation")
    assert set(rows) == {"annotation source", "data version"}
    assert list(faults(rows, "annotation source")) == [f"{RAW}/masks/03.png"]


@pytest.mark.parametrize(
    "change",
    [edited(b"<xmin>", b"<xmin>1"), edited(b"<name>ant", b"<name>bee")],
    ids=["box", "class name"],
)
def test_dense_audit__names_the_file_of_a_changed_box_or_class(
    project: Path, change: Callable[[Path], bytes]
) -> None:
    file = project / RAW / "Annotations/03.xml"
    with planted(file, change(file)):
        rows = audited(project, "detection")
    assert set(rows) == {"annotation source", "data version"}
    assert list(faults(rows, "annotation source")) == [f"{RAW}/Annotations/03.xml"]


def test_dense_audit__names_a_class_that_conf_calls_otherwise(project: Path) -> None:
    file = project / "conf/tiny/parameters/segmentation.yml"
    with planted(file, edited(b"- ant", b"- wasp")(file)):
        rows = audited(project, "segmentation")
    assert set(rows) == {"configuration"}
    assert "segmentation.ingestion.source.class_names" in faults(rows, "configuration")


@pytest.mark.parametrize("task", TASKS)
def test_dense_audit__names_the_image_whose_truth_changed(project: Path, task: str) -> None:
    file = project / f"data/03_primary/tiny/{task}/split_manifest.parquet"
    table = pd.read_parquet(file)
    place = int(np.flatnonzero(table["split"] == "test")[0])
    old, new = {
        "detection": ('"boxes_xyxy": [[', '"boxes_xyxy": [[1'),
        "segmentation": ('"mask_sha256": "', '"mask_sha256": "0'),
    }[task]
    assert old in table.loc[place, "truth"]
    table.loc[place, "truth"] = table.loc[place, "truth"].replace(old, new)
    with planted(file, table.to_parquet(index=False)):
        rows = audited(project, task)
    assert set(rows) == {"truths"}
    (named,) = faults(rows, "truths")
    assert named.endswith(f": {table.loc[place, 'id']}")
