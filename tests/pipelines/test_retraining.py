"""`kedro retrain` as schedulers call it: reasons, the turn, the gate, held batches, a kill."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from test_whole_road import copy_project, draw_images, kedro

MODEL, CASE = "tiny-classification", "tiny"
RULE = """
  promotion: {class_floor: 0.0, class_loss_max: 1.0, check_images: 2}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project under Git in which a first model of images by day is champion."""
    project = copy_project(tmp_path_factory.mktemp("retraining"))
    overlay = project / "conf/tiny/parameters/classification.yml"
    overlay.write_text(overlay.read_text().rstrip() + RULE)
    draw_images(project / "data/01_raw/tiny")
    (project / ".gitignore").write_text("data/\nmlruns/\nmlflow.db*\n__pycache__/\n")
    commit(project)
    code, found = retrain(project)  # a scheduler's first call: no model is there yet
    assert (code, found["outcome"]) == (0, "promoted"), found
    assert found["reasons"][0]["reason"] == "no champion"
    yield project


def commit(project: Path) -> None:
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "state"]):
        subprocess.run([*git, *command], cwd=project, check=False, capture_output=True)


def retrain(project: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = kedro(project, "retrain", "--env", CASE, "--json", *options)
    assert done.stdout.startswith("["), done.stderr[-3000:]
    (found,) = json.loads(done.stdout)
    return done.returncode, found


def by_night(folder: Path, images: int, name: str, seed: int) -> list[Path]:
    """Dark images of each class, in colours that by day belong to another."""
    written = []
    for kind in range(3):
        for number in range(images):
            rng = np.random.default_rng([seed, kind, number])
            small = rng.integers(0, 25, (6, 6, 3), dtype=np.uint8)
            small[:, :, (kind + 1) % 3] += 70
            big = cv2.resize(small, (48, 48), interpolation=cv2.INTER_NEAREST)
            written.append(folder / f"class_{kind}/{name}{number:02d}.png")
            cv2.imwrite(str(written[-1]), big)
    return written


def champion(project: Path) -> str:
    done = kedro(project, "model", "history", MODEL, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["champion"])


def versions(project: Path) -> int:
    return len(list(project.glob(f"data/06_models/{CASE}/classification/lineage/*")))


def test_retrain__makes_no_model_of_the_same_data_code_and_conf(project: Path) -> None:
    """Files that are touched and YAML that is laid out anew change nothing (promise E4)."""
    before = versions(project)
    for file in (project / "data/01_raw/tiny").rglob("*.png"):
        os.utime(file, (1, 1))
    overlay = project / "conf/tiny/parameters/classification.yml"
    overlay.write_text("# the same\n" + overlay.read_text().replace("{epochs: 1}", "{ epochs: 1 }"))
    code, found = retrain(project)
    assert (code, found["outcome"], found["reasons"]) == (0, "stands", [])
    assert found["champion"] == f"{MODEL}/1" and "it stands" in found["sentence"]
    assert versions(project) == before and champion(project) == "1"
    commit(project)


def test_retrain__says_which_setting_has_changed_and_does_not_repeat_what_was_refused(
    project: Path,
) -> None:
    overlay = project / "conf/tiny/parameters/classification.yml"
    before = overlay.read_text()
    overlay.write_text(before.replace("[0.01, 0.1]", "[0.02, 0.2]"))
    commit(project)
    code, found = retrain(project)
    assert (code, found["outcome"]) == (3, "refused"), found
    (reason,) = found["reasons"]
    changed = "probing.strengths: [0.01, 0.1] is now [0.02, 0.2]"
    assert reason["reason"] == "conf" and changed in reason["sentence"]
    assert found["decision"]["refused_by"] and champion(project) == "1"
    code, found = retrain(project)
    assert (code, found["outcome"]) == (0, "stands") and "refused" in found["sentence"]
    overlay.write_text(before)
    commit(project)


@pytest.mark.slow
def test_retrain__that_gave_the_champion_again_is_not_repeated(project: Path) -> None:
    """A setting that a stage reads and that makes no other model (promise E4)."""
    overlay = project / "conf/tiny/parameters/classification.yml"
    before = overlay.read_text()
    settings = yaml.safe_load(before)
    settings["classification"].setdefault("evaluation", {})["worst_images"] = 3
    overlay.write_text(yaml.safe_dump(settings))
    commit(project)
    code, found = retrain(project)
    assert (code, found["outcome"]) == (0, "stands"), found
    assert found["sentence"] == f"Training gave {MODEL}/1 again."
    assert [reason["reason"] for reason in found["reasons"]] == ["conf"]
    runs = run_count(project)
    code, found = retrain(project)
    assert (code, found["outcome"], found["reasons"]) == (0, "stands", [])
    assert found["sentence"].endswith("gave it once more: it stands.")
    assert run_count(project) == runs and champion(project) == "1"
    overlay.write_text(before)
    commit(project)


def run_count(project: Path) -> int:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    return int(count)


def test_retrain__killed_while_it_trains_is_completed_by_the_next_call(project: Path) -> None:
    """The batch by night arrives; the first call is killed in its training, the next promotes."""
    by_night(project / "data/01_raw/tiny", 24, "night", 5)
    command = [str(Path(sys.executable).with_name("kedro")), "retrain", "--env", CASE]
    with subprocess.Popen(
        command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "fine_tune ..." in line:
                break
        running.send_signal(signal.SIGKILL)
    lease = project / f"data/09_ledger/{MODEL}.retrain.lock"
    said = json.loads(lease.read_text())
    lease.write_text(json.dumps({**said, "expires": time.time() - 1}))  # a minute has passed
    code, found = retrain(project)
    assert (code, found["outcome"]) == (0, "promoted"), found
    kinds = [reason["reason"] for reason in found["reasons"]]
    assert kinds[:2] == ["data", "drift"]
    assert found["watched"]["drift"]["verdict"] == "drifted"
    assert "brightness" in found["watched"]["drift"]["direction"]["likely"]
    assert found["entry"]["evidence"]["retraining"]["reasons"][0]["reason"] == "data"
    assert found["challenger"] == f"{MODEL}/{champion(project)}"
    code, found = retrain(project)
    assert (code, found["outcome"], found["reasons"]) == (0, "stands", [])


def test_retrain__holds_a_poisoned_batch_once_and_leaves_the_champion(project: Path) -> None:
    """Copies of known images under another class."""
    standing, raw = champion(project), project / "data/01_raw/tiny"
    planted = [raw / f"class_1/copy{number}.png" for number in range(4)]
    for number, file in enumerate(planted):
        shutil.copy(raw / f"class_0/{number:02d}.png", file)
    code, found = retrain(project)
    assert (code, found["outcome"]) == (4, "held")
    (reason,) = found["watched"]["intake"]["reasons"]
    assert reason["check"] == "conflicting copies"
    assert found["entry"]["action"] == "hold_batch"
    assert sorted(reason["files"]) == sorted(f.relative_to(raw).as_posix() for f in planted)
    assert champion(project) == standing
    assert tags(project, standing)["promotion.action"] == "promote"  # as it was told of the version
    again = retrain(project)[1]
    assert again["outcome"] == "held" and again["entry"] == found["entry"]
    for file in planted:
        file.unlink()
    code, found = retrain(project)
    assert (code, found["outcome"]) == (0, "stands")


def tags(project: Path, version: str) -> dict[str, str]:
    """What MLflow's page shows of a version."""
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        rows = database.execute(
            "SELECT key, value FROM model_version_tags WHERE version = ?", (version,)
        )
        return dict(rows.fetchall())


@pytest.mark.parametrize(
    ("schedulers", "rounds"), [(3, 1), pytest.param(6, 20, marks=pytest.mark.slow)]
)
def test_retrain__is_had_by_one_of_several_schedulers(
    project: Path, schedulers: int, rounds: int
) -> None:
    for number in range(rounds):
        by_night(project / "data/01_raw/tiny", 4, f"late{schedulers}_{number}_", 9 + number)
        before = versions(project)
        found = _outcomes(project, schedulers)
        trained = [outcome for outcome in found if outcome in ("promoted", "refused")]
        assert len(trained) == 1, found
        assert all(o in ("superseded", "stands") for o in found if o not in trained)
        assert versions(project) == before + 1


def _outcomes(project: Path, schedulers: int) -> list[str]:
    """What came of so many calls at once."""
    command = [str(Path(sys.executable).with_name("kedro")), "retrain", "--env", CASE, "--json"]
    callers = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(schedulers)
    ]
    return [json.loads(caller.communicate()[0])[0]["outcome"] for caller in callers]


def test_retrain__prints_schedules_and_runs_nothing(project: Path) -> None:
    line = kedro(project, "retrain", "--env", CASE, "--print-cron", "0 3 * * *").stdout
    assert line.startswith("0 3 * * * ") and "retrain --env tiny" in line
    units = kedro(project, "retrain", "--env", CASE, "--print-systemd", "0 3 * * *").stdout
    assert "[Timer]" in units and "SuccessExitStatus" in units
