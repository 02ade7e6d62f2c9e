"""A registered version is audited, asked for its images and run again; each change is named."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from test_whole_road import copy_project, draw_images, kedro

from graft.adapters.lineage import IMAGES, RECORD
from graft.adapters.lineage.audit import audit_version, rows_text
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.model import check_backbone
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.lineage.registered import registered_files
from graft.adapters.lineage.used import used
from graft.adapters.lineage.versions import open_registry, version_of

MODEL = "tiny-classification"
REST = "augmentation,feature_extraction,probing,fine_tuning,evaluation,registration"
LAST = "data/01_raw/tiny/class_2/15.png"
SPLITS = "data/03_primary/tiny/classification/split_manifest.parquet"
IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
LOAD = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.pyfunc.load_model("models:/tiny-classification/1")
"""


def do(project: Path, *command: str) -> None:
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tiny case under Git and DVC, run by two runs over code that was partly not committed."""
    project = copy_project(tmp_path_factory.mktemp("audit") / "project")
    draw_images(project / "data/01_raw/tiny")
    shutil.copy(Path(__file__).resolve().parents[2] / ".gitignore", project)
    do(project, "git", "init", "-q")
    dvc = [sys.executable, "-m", "dvc"]
    do(project, *dvc, "init", "-q")
    do(project, *dvc, "add", "-q", "data/01_raw/tiny")
    do(project, *dvc, "remote", "add", "-q", "-d", "kept", str(project.parent / "remote"))
    do(project, *dvc, "push", "-q")
    do(project, "git", "add", "-A")
    do(project, "git", *IDENTITY, "commit", "-qm", "first")
    with (project / "src/graft/vision/runtime.py").open("a") as file:
        file.write("# not committed\n")
    (project / "src/graft/vision/newly_added.py").write_text('"""Not committed."""\n')
    for pipelines in ("ingestion", REST):
        done = kedro(project, "run", "--env", "tiny", "--pipelines", pipelines)
        assert done.returncode == 0, done.stderr[-3000:]
    before = Path.cwd()
    open_registry(project)
    yield project
    os.chdir(before)


@pytest.fixture(scope="module")
def record(project: Path) -> dict[str, Any]:
    return read_lineage(version_of(MODEL))


@contextmanager
def planted(path: Path, data: bytes | None) -> Iterator[None]:
    """Other bytes in a file, or no file, for a while; size and times stay as they may."""
    before, stat = path.read_bytes(), path.stat()
    path.chmod(0o644)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(stat.st_mode)


def flipped(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    return bytes(data)


def audited(project: Path) -> dict[str, dict[str, Any]]:
    """The rows that do not hold, by fact."""
    report = audit_version(project, version_of(MODEL))
    return {row["fact"]: row for row in report["rows"] if row["status"] != "holds"}


def faults(rows: dict[str, dict[str, Any]], fact: str) -> dict[str, tuple[str, str]]:
    return {each["what"]: (each["expected"], each["found"]) for each in rows[fact]["faults"]}


def test_audit__holds_for_what_was_just_registered(project: Path) -> None:
    done = kedro(project, "model", "audit", f"{MODEL}/1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["holds"] and {row["status"] for row in report["rows"]} == {"holds"}
    text = rows_text(report)
    assert all(f"holds    {row['fact']}" in text for row in report["rows"])
    assert text.endswith("all holds")


def test_record__knows_the_run_of_each_stage_by_content(record: dict[str, Any]) -> None:
    runs = {stage["stage"]: stage["run_id"] for stage in record["stages"]}
    assert list(runs) == ["ingestion", *REST.split(",")[:-1]]
    assert "unknown" not in runs.values()
    assert runs["ingestion"] != runs["fine_tuning"] == record["model"]["recorded_by_run"]
    assert record["stages"][0]["command"].endswith("--pipelines ingestion")
    assert record["configuration"]["parameters"]["classification.ingestion"]["workers"] == 2
    assert record["data"]["dvc_md5"].endswith(".dir")


def test_record__stands_where_an_auditor_looks(project: Path, record: dict[str, Any]) -> None:
    import mlflow

    client, version = mlflow.MlflowClient(), version_of(MODEL)
    run_id = record["model"]["recorded_by_run"]
    artifacts = {file.path for file in client.list_artifacts(run_id, "classification")}
    assert {f"classification/{RECORD}", f"classification/{IMAGES}"} <= artifacts
    inputs = {each.dataset.name for each in client.get_run(run_id).inputs.dataset_inputs}
    assert inputs == {f"classification-{split}" for split in ("train", "val", "test")}
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    bound = {metric.dataset_name for metric in model.metrics if metric.dataset_name}
    assert bound == {"classification-test"}
    assert model.tags["lineage_sha256"] == version.tags["lineage_sha256"]


def test_audit__names_a_changed_pixel_and_nothing_else(project: Path) -> None:
    image = project / LAST
    with planted(image, flipped(image)):
        rows = audited(project)
    assert set(rows) == {"images", "data version"}
    assert list(faults(rows, "images")) == [LAST]
    expected, found = faults(rows, "images")[LAST]
    assert expected != found and len(expected) == len(found) == 64


def test_audit__names_images_whose_labels_were_swapped(project: Path) -> None:
    table = pd.read_parquet(project / SPLITS)
    places = [0, len(table) - 1]
    table.loc[places, "truth"] = table.loc[places[::-1], "truth"].to_numpy()
    with planted(project / SPLITS, table.to_parquet(index=False)):
        rows = audited(project)
    assert set(rows) == {"truths"}
    assert set(faults(rows, "truths")) == {f"{SPLITS}: {table['id'][place]}" for place in places}


def test_audit__does_not_mind_the_order_of_rows(project: Path) -> None:
    table = pd.read_parquet(project / SPLITS)
    with planted(project / SPLITS, table.iloc[::-1].to_parquet(index=False)):
        assert audited(project) == {}


def registered(name: str) -> Callable[[Path], Path]:
    def find(project: Path) -> Path:
        with registered_files(version_of(MODEL)) as folder:
            return folder / name

    return find


def below(name: str) -> Callable[[Path], Path]:
    return lambda project: project / name


def remote_object(project: Path) -> Path:
    return max((project.parent / "remote/files").rglob("*"), key=lambda path: path.is_file())


def run_artifact(name: str) -> Callable[[Path], Path]:
    def find(project: Path) -> Path:
        run = read_lineage(version_of(MODEL))["model"]["recorded_by_run"]
        return project / "mlruns/tiny" / run / "artifacts" / name

    return find


def edited(old: bytes, new: bytes) -> Callable[[Path], bytes]:
    def edit(path: Path) -> bytes:
        assert old in path.read_bytes()
        return path.read_bytes().replace(old, new, 1)

    return edit


def gone(path: Path) -> None:
    return None


REPORTS = "data/08_reporting/tiny/classification"
CHANGES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], bytes | None], str, str]] = {
    "weights": (
        registered("artifacts/model/model.safetensors"), flipped,
        "registered bytes", "artifacts/model/model.safetensors",
    ),
    "served code": (
        registered("code/graft/vision/serving.py"), flipped,
        "registered bytes", "code/graft/vision/serving.py",
    ),
    "parameter": (
        below("conf/tiny/parameters/classification.yml"),
        edited(b"fine_tuning: {epochs: 1}", b"fine_tuning: {epochs: 2}"),
        "configuration", "classification.fine_tuning.epochs",
    ),
    "lock file gone": (below("requirements.lock"), gone, "environment lock", "requirements.lock"),
    "split file gone": (below(SPLITS), gone, "splits", SPLITS),
    "split file damaged": (below(SPLITS), lambda path: b"no table", "splits", SPLITS),
    "policy": (
        below("data/03_primary/tiny/classification/augmentation_policy.json"),
        edited(b'"preset": "natural"', b'"preset": "none"'),
        "augmentation policy", "augmentation_policy.json: preset",
    ),
    "score": (
        below(f"{REPORTS}/test_metrics.json"), edited(b'"value": ', b'"value": 1'),
        "metrics", "test_metrics.json: accuracy.value",
    ),
    "trained model": (
        below("data/06_models/tiny/classification/probe/model.safetensors"), flipped,
        "stage outputs", "data/06_models/tiny/classification/probe",
    ),
    "data version": (
        below("data/01_raw/tiny.dvc"), edited(b"- md5: ", b"- md5: 0"),
        "data version", "version that DVC states of data/01_raw/tiny",
    ),
    "remote object": (remote_object, flipped, "data version", "remote object of "),
    "remote object gone": (remote_object, gone, "data version", "remote object of "),
    "uncommitted diff": (
        run_artifact("code/uncommitted.diff"), flipped, "uncommitted diff", "code/uncommitted.diff",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_audit__names_what_was_changed(project: Path, name: str) -> None:
    find, change, fact, what = CHANGES[name]
    path = find(project)
    with planted(path, change(path)):
        rows = audited(project)
        text = rows_text(audit_version(project, version_of(MODEL)))
    also = {"truths"} if name == "split file damaged" else set()
    assert set(rows) == {fact} | also, rows
    assert any(what in each["what"] for each in rows[fact]["faults"])
    assert all(what in text for what in ("expected:", "found:", fact))


def test_run__is_refused_where_its_data_version_is_not_whole_on_the_remote(
    project: Path, record: dict[str, Any]
) -> None:
    import mlflow

    assert record["data"]["dvc_verified"] == "folder"  # by default the remote is not asked
    overlay, lost = project / "conf/tiny/mlflow.yml", remote_object(project)
    overlay.write_text("lineage: {data: pushed}\n")
    try:
        with planted(lost, None):
            done = kedro(project, "run", "--env", "tiny", "--pipelines", "ingestion")
    finally:
        overlay.unlink()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "nothing was started; found: remote object of " in done.stderr
    assert f"({lost.parent.name}{lost.name}): missing" in done.stderr
    experiment = mlflow.MlflowClient().get_experiment_by_name("tiny")
    assert experiment is not None
    (last,) = mlflow.MlflowClient().search_runs([experiment.experiment_id], max_results=1)
    assert last.info.status == "FAILED" and "nothing was started" in last.data.tags["error"]
    assert not [name for name in last.data.tags if name.startswith("made.")]
    assert audited(project) == {}


def test_audit__names_a_file_that_came_in_beside(project: Path) -> None:
    added = project / "data/01_raw/tiny/class_0/notes.txt"
    added.write_text("added")
    try:
        rows = audited(project)
    finally:
        added.unlink()
    assert set(rows) == {"annotation source", "data version"}
    assert "class_0/notes.txt" in next(iter(faults(rows, "annotation source")))


def test_audit__names_a_parameter_that_was_altered_in_the_store(
    project: Path, record: dict[str, Any]
) -> None:
    key = "classification.fine_tuning.epochs"

    def state(value: str) -> None:
        with closing(sqlite3.connect(project / "mlflow.db")) as database, database:
            database.execute("UPDATE params SET value = ? WHERE key = ?", (value, key))

    state("7")
    rows = audited(project)
    state("1")
    assert set(rows) == {"configuration"}
    run = record["model"]["recorded_by_run"]
    assert faults(rows, "configuration") == {f"run {run}: {key}": ("1", "7")}


def test_audit__reports_a_champion_that_nobody_promoted(project: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    client.set_registered_model_alias(MODEL, "champion", "1")
    rows = audited(project)
    client.delete_registered_model_alias(MODEL, "champion")
    assert set(rows) == {"promotion"}


def test_audit__of_an_altered_record_says_so_and_calls_the_rest_unknown(project: Path) -> None:
    copies = [
        run_artifact(f"classification/{RECORD}")(project),
        project / f"data/06_models/tiny/classification/lineage/1/{RECORD}",
    ]
    with planted(copies[0], flipped(copies[0])):
        assert audited(project) == {}  # the other copy still has the digest
        with planted(copies[1], flipped(copies[1])):
            rows = audited(project)
    assert rows["record"]["status"] == "differs"
    assert {row["status"] for fact, row in rows.items() if fact != "record"} == {"unknown"}


def test_audit__calls_a_missing_licence_unknown(project: Path, record: dict[str, Any]) -> None:
    without = {**record, "backbone": {**record["backbone"], "licence": "unknown"}}
    row = check_backbone(Audited(project, version_of(MODEL), without))
    assert row.status == "unknown" and [fault.what for fault in row.faults] == ["licence"]


def test_registered_model__with_another_byte_is_refused_before_a_tensor_is_built(
    project: Path,
) -> None:
    weights = registered("artifacts/model/model.safetensors")(project)
    with planted(weights, flipped(weights)):
        done = subprocess.run(
            [sys.executable, "-c", LOAD, f"sqlite:///{project}/mlflow.db"],
            cwd=project.parent, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode != 0
    assert "model.safetensors is not what was registered" in done.stderr
    assert "found: " in done.stderr and "allowed: " in done.stderr


def test_used__names_versions_splits_and_stores_by_file_path_and_digest(project: Path) -> None:
    table = pd.read_parquet(project / SPLITS)
    row = table.iloc[3]
    found = used(project, str(project / "data/01_raw/tiny" / row["path"]))
    assert [
        (use["model"], use["version"], use["split"], use["id"]) for use in found["versions"]
    ] == [(MODEL, "1", row["split"], row["id"])]
    kinds = {store["kind"] for store in found["stores"]}
    assert {"pixels", "frozen features", "frozen features of a case"} <= kinds
    for text in (row["path"], row["sha256"], row["sha256"][:10]):
        assert used(project, text)["versions"] == found["versions"]
    assert found["near"] == []


def test_used__tells_near_copies_apart(project: Path, tmp_path: Path) -> None:
    row = pd.read_parquet(project / SPLITS).iloc[5]
    pixels = cv2.imread(str(project / "data/01_raw/tiny" / row["path"]))
    copy = tmp_path / "copy.jpg"
    cv2.imwrite(str(copy), pixels[:, ::-1])
    found = used(project, str(copy))
    assert found["versions"] == [] and found["stores"] == []
    assert [(use["id"], use["how"]) for use in found["near"]] == [(row["id"], "mirror")]
    unknown = used(project, "0" * 64)
    assert unknown["versions"] == [] and "not at hand" in unknown["notes"][0]


def test_reproduce__names_the_first_stage_that_a_parameter_changes(project: Path) -> None:
    change = "classification.fine_tuning.learning_rate=0.01"
    done = kedro(project, "model", "reproduce", f"{MODEL}/1", "--json", "--set", change)
    found = json.loads(done.stdout)
    assert found["stage"] == "fine_tuning" and found["same_class"]
    results = {stage["stage"]: stage["result"] for stage in found["stages"]}
    first = ["ingestion", "augmentation", "feature_extraction", "probing"]
    assert [results[stage] for stage in first] == ["identical"] * 4
    different = {each["output"] for each in found["stages"][4]["different"]}
    assert "fine_tuned" in different and "scratch" not in different
    assert done.returncode == 1 and found["result"] == "differs"
