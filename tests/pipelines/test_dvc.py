"""dvc.yaml says what the Kedro registry and the catalog say, and `dvc repro` does what they do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from test_whole_road import ROOT, copy_project, draw_images, kedro

from graft.adapters.case_settings import case_settings
from graft.adapters.datasets import FolderDataset
from graft.adapters.tracking.package import ENTRANCE, served_code
from graft.vision.imports import SOURCE, modules_behind
from graft.vision.tasks import TASKS

CASE = "street_scenes"
NO_PIPELINES = {"render_sample", "settings"}
STORES = FolderDataset
CARRIERS = {"ArtifactDataset": "artifact.py", "TrainedModelDataset": "trained_model.py"}
"""The code that gives a dataset its form on disk."""


@cache
def stages(task: str) -> dict[str, dict[str, Any]]:
    """The stages of one task of the case, as DVC would write them out."""
    text = (ROOT / "dvc.yaml").read_text()
    text = text.replace("${item.case}", CASE).replace("${item.task}", task)
    return {name: stage.get("do", stage) for name, stage in yaml.safe_load(text)["stages"].items()}


def settings_of(task: str) -> str:
    return f"data/02_intermediate/{CASE}/{task}/settings.json"


@cache
def catalog() -> Any:
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=CASE) as session:
        return session.load_context().catalog


def pipeline_names() -> list[str]:
    bootstrap_project(ROOT)
    return [name for name in pipelines if name != "__default__"]


def paths_of(names: set[str]) -> dict[str, str]:
    """Where datasets lie, without those in memory and the stores by content."""
    found = {}
    for name in names:
        dataset = None if name.startswith("params:") else catalog().get(name)
        path = getattr(dataset, "path", getattr(dataset, "folder", None))
        if path is not None and not isinstance(dataset, STORES):
            found[name] = (ROOT / path).relative_to(ROOT).as_posix()
    return found


def listed(stage: dict[str, Any], *kinds: str) -> list[str]:
    """Paths below these keys; one with options is a mapping."""
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def data_deps(stage: dict[str, Any]) -> set[str]:
    return {path for path in listed(stage, "deps") if path.startswith("data/")}


def code_deps(stage: dict[str, Any]) -> set[str]:
    return {path for path in listed(stage, "deps") if path.startswith("src/")}


def pipeline_of(name: str, task: str) -> Pipeline:
    bootstrap_project(ROOT)
    return pipelines[name].filter(node_namespaces=[task])


every_pipeline = pytest.mark.parametrize("name", pipeline_names())
every_task = pytest.mark.parametrize("task", TASKS)


@every_task
def test_stages__are_the_pipelines_of_the_registry(task: str) -> None:
    assert set(stages(task)) == {*pipeline_names(), *NO_PIPELINES}
    for name in pipeline_names():
        command = f"kedro run --env {CASE} --namespaces {task} --pipelines {name}"
        assert stages(task)[name]["cmd"] == command


@every_task
@every_pipeline
def test_stage__has_what_its_pipeline_writes_as_outs(name: str, task: str) -> None:
    written = paths_of(pipeline_of(name, task).all_outputs())
    assert set(listed(stages(task)[name], "outs", "metrics", "plots")) == set(written.values())


@every_task
def test_outs__belong_to_one_stage_each_and_are_all_that_the_catalog_keeps(task: str) -> None:
    outs = [path for stage in stages(task).values() for path in listed(stage, "outs")]
    outs += [path for stage in stages(task).values() for path in listed(stage, "metrics", "plots")]
    assert len(outs) == len(set(outs))
    assert not [path for path in outs for other in outs if path.startswith(f"{other}/")]
    whole = pipeline_of("__default__", task)
    assert set(paths_of(whole.all_outputs()).values()) <= set(outs)


@every_task
@every_pipeline
def test_stage__depends_on_the_data_that_its_pipeline_reads(name: str, task: str) -> None:
    assert data_deps(stages(task)[name]) == set(paths_of(pipeline_of(name, task).inputs()).values())


@every_task
@every_pipeline
def test_stage__depends_on_the_settings_that_its_pipeline_reads(name: str, task: str) -> None:
    read = {key.removeprefix("params:") for key in pipeline_of(name, task).inputs() if ":" in key}
    blocks = [
        block
        for block in stages(task)[name].get("params", [])
        for block in block[settings_of(task)]
    ]
    # A finer setting may stand for its block where nothing else of the block is used.
    assert {".".join(key.split(".")[:2]) for key in blocks} - {"raw"} == read
    known = json.loads(
        json.dumps(case_settings(ROOT, CASE, task), default=lambda o: o.model_dump())
    )
    for key in blocks:
        value = known
        for part in key.split("."):
            value = value[part]


@every_task
@every_pipeline
def test_stage__depends_on_the_code_that_its_pipeline_runs_alone(name: str, task: str) -> None:
    behind = modules_behind(f"graft.pipelines.{name}.nodes", f"graft.pipelines.{name}.pipeline")
    files = set(behind.values()) | set(carriers(name, task))
    if "graft.vision.tasks" in behind or name == "registration":
        others = [module for other, module in TASKS.items() if other != task]
        files |= set(modules_behind(*TASKS.values()).values())
        files -= {file for file in files if is_of(file, others)}
    if name == "registration":
        files |= {ENTRANCE, ENTRANCE.with_name("package.py"), *served_code(task).values()}
    ran = {file.relative_to(ROOT).as_posix() for file in files if not is_marker(file)}
    deps = code_deps(stages(task)[name])
    assert not {file for file in ran if not is_below(file, deps)}, "not depended on"
    assert not {dep for dep in deps if not any(is_below(file, {dep}) for file in ran)}, "not run"
    assert "src/graft" not in deps and "src/graft/vision" not in deps
    assert "requirements.lock" in listed(stages(task)[name], "deps")


def carriers(name: str, task: str) -> Iterator[Path]:
    folder = SOURCE / "graft/adapters/datasets"
    for dataset in paths_of(pipeline_of(name, task).datasets()):
        kind = type(catalog().get(dataset)).__name__
        if kind in CARRIERS:
            yield folder / CARRIERS[kind]
        elif kind == "RegisteredModelDataset":
            yield folder / "registered_model.py"


def is_of(file: Path, modules: list[str]) -> bool:
    folders = [SOURCE / module.replace(".", "/") for module in modules]
    return any(file.is_relative_to(folder) for folder in folders)


def is_marker(file: Path) -> bool:
    """A package's mark without code of its own, or how pipelines are put together."""
    return file.name == "__init__.py" and "tasks" not in file.parts


def is_below(file: str, paths: set[str]) -> bool:
    return any(file == path or file.startswith(f"{path}/") for path in paths)


def test_every_listed_case__has_an_overlay() -> None:
    cases = yaml.safe_load((ROOT / "conf/cases.yml").read_text())["cases"]
    for key, entry in cases.items():
        assert key == f"{entry['case']}-{entry['task']}"
        assert (ROOT / "conf" / entry["case"] / "parameters" / f"{entry['task']}.yml").is_file()


# What follows runs DVC for real.


def dvc(project: Path, *arguments: str) -> str:
    """What DVC says on both channels."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def repro(project: Path, stage: str) -> list[str]:
    """The stages that ran."""
    said = dvc(project, "repro", f"{stage}@tiny-classification")
    return [line.split("'")[1].split("@")[0] for line in said.splitlines() if "Running" in line]


def git(project: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


COPIED = (
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
    ".dvc/.gitignore",
    "data/06_models/.gitignore",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed copy of the project whose only case is tiny."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    project = copy_project(tmp_path / "project")
    for name in COPIED:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text((ROOT / name).read_text())
    (project / "conf/cases.yml").write_text(
        "cases:\n  tiny-classification: {case: tiny, task: classification}\n"
    )
    draw_images(project / "data/01_raw/tiny")
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    return project


def set_setting(project: Path, where: str, path: str, value: object) -> None:
    file = project / "conf" / where / "parameters/classification.yml"
    settings = yaml.safe_load(file.read_text())
    *blocks, key = f"classification.{path}".split(".")
    block = settings
    for name in blocks:
        block = block.setdefault(name, {})
    block[key] = value
    file.write_text(yaml.safe_dump(settings))


def test_repro__runs_what_depends_on_a_change_and_nothing_else(project: Path) -> None:
    assert repro(project, "ingestion") == ["settings", "ingestion"]
    set_setting(project, "tiny", "evaluation.resamples", 120)
    set_setting(project, "base", "fine_tuning.epochs", 9)  # the overlay says otherwise
    assert repro(project, "ingestion") == ["settings"]
    set_setting(project, "base", "ingestion.split.seed", 1)
    assert repro(project, "ingestion") == ["settings", "ingestion"]
    assert kedro(project, "run", "--env", "tiny", "--pipelines", "ingestion").returncode == 0
    assert repro(project, "ingestion") == []
    assert git(project, "status", "--porcelain").split() == [
        *["M", "conf/base/parameters/classification.yml"],
        *["M", "conf/tiny/parameters/classification.yml"],
        *["??", "dvc.lock"],
    ]


@pytest.mark.slow
def test_repro__gives_the_results_of_kedro_run(project: Path, tmp_path: Path) -> None:
    other = copy_project(tmp_path / "other")
    draw_images(other / "data/01_raw/tiny")
    done = kedro(other, "run", "--env", "tiny")
    assert done.returncode == 0, done.stderr[-2000:]
    assert repro(project, "registration") == ["settings", *pipeline_names()]
    assert repro(project, "registration") == []
    chosen = [json.loads((p / VERDICT).read_text())["chosen"] for p in (project, other)]
    for file in sorted(files_of(other)):
        if is_timed(file):
            continue
        if chosen[0] != chosen[1] and depends_on_choice(file):
            continue  # between equals the faster is chosen, and these were timed apart
        assert (project / file).read_bytes() == (other / file).read_bytes(), file
    assert files_of(project) - files_of(other) == {
        "data/02_intermediate/tiny/classification/settings.json"
    }
    for file in (file for file in files_of(other) if is_timed(file)):
        if chosen[0] == chosen[1] or not depends_on_choice(file):
            assert untimed(project / file) == untimed(other / file), file


VERDICT = "data/08_reporting/tiny/classification/verdict.json"
TIMED = ("card.json", "sha256.json", "_history.csv", "verdict.json", "report.html")


def files_of(project: Path) -> set[str]:
    """What a run has made, without stores by content."""
    made = [path for path in (project / "data").glob("0[2-8]*/tiny/**/*") if path.is_file()]
    names = {path.relative_to(project).as_posix() for path in made}
    return {name for name in names if "/checkpoints/" not in name}


def is_timed(file: str) -> bool:
    """Whether it holds a wall time, or the digest of a file that does."""
    return file.endswith((*TIMED, "registered_model.json"))


def depends_on_choice(file: str) -> bool:
    names = ("chosen_model/", "test_", "verdict", "report.html", "registered_model")
    return any(name in file for name in names)


def untimed(file: Path) -> object:
    """The content without wall times."""
    if file.suffix == ".csv":
        return pd.read_csv(file).drop(columns=["seconds", "images_per_s"]).to_dict("list")
    if file.name in ("card.json", "verdict.json"):
        return without(json.loads(file.read_text()), "minutes")
    if file.name == "registered_model.json":
        return without(json.loads(file.read_text()), "package_sha256")
    return None


def without(value: object, name: str) -> object:
    if isinstance(value, dict):
        return {key: without(inner, name) for key, inner in value.items() if key != name}
    return [without(inner, name) for inner in value] if isinstance(value, list) else value
