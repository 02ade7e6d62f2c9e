"""Schedules of `kedro retrain`: what cron, systemd and Airflow are told, run as far as they can."""

import ast
import configparser
import importlib.util
import json
import shlex
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kedro.framework.startup import bootstrap_project

from graft.adapters.retraining.exit_codes import NO_FAULT, ExitCode, exit_code
from graft.adapters.retraining.schedules import DECISIONS, cron_line, systemd_units
from graft.adapters.retraining.timetable import calendar_lines, check_cron
from graft.adapters.tasks_of_case import tasks_of_case
from graft.pipeline_registry import register_pipelines
from graft.vision.errors import OptionsError

ROOT = Path(__file__).resolve().parents[3]
NIGHTLY = "0 3 * * *"
FAKE_KEDRO = """#!/bin/sh
echo "$PWD|$*" >> "$(dirname "$0")/calls"
echo '[{{"outcome": "held"}}]'
echo "message" >&2
exit {code}
"""

# Exit codes.


def test_exit_code__of_each_outcome_is_documented() -> None:
    assert [exit_code(name) for name in ("stands", "promoted", "superseded")] == [0, 0, 0]
    assert [exit_code(name) for name in ("refused", "held", "labels_needed")] == [3, 4, 5]
    text = (ROOT / "docs/retraining.md").read_text()
    for code in ExitCode:
        assert f"| {int(code)} |" in text


def test_exit_code__no_other_than_a_fault_or_a_wrong_call_needs_mending() -> None:
    assert set(ExitCode) - set(NO_FAULT) == {ExitCode.STANDS, ExitCode.FAULT, ExitCode.USAGE}


# Cron.


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Stands in for the environment: its kedro notes how it was called and ends with a code."""

    def lay(code: int) -> Path:
        commands = tmp_path / "an environment" / "bin"
        commands.mkdir(parents=True)
        (commands / "kedro").write_text(FAKE_KEDRO.format(code=code))
        (commands / "kedro").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(commands / "python"))
        return commands

    return lay


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project at a place that cron, a shell and systemd all read something else into."""
    folder = tmp_path / "100% of $HOME 'now'"
    for case in ("street_scenes", "by_night"):
        (folder / "conf" / case).mkdir(parents=True)
        (folder / "conf" / case / "globals.yml").write_text(f"case: {case}\n")
    return folder


def as_cron_runs(line: str) -> subprocess.CompletedProcess[str]:
    """crontab(5): five fields, then a command up to the first bare %, for /bin/sh."""
    command = line.split(maxsplit=5)[5].replace(r"\%", "\0")
    assert "%" not in command
    command = command.replace("\0", "%")
    return subprocess.run(
        ["/bin/sh", "-c", command], env={}, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("code", [0, 4])
def test_cron_line__runs_from_anywhere_and_mails_only_what_is_not_0(
    project: Path, environment: Callable[[int], Path], code: int
) -> None:
    commands = environment(code)
    line = cron_line(project, "by_night", " 30  4 * * Mon-Fri")
    assert line.startswith("30 4 * * Mon-Fri ") and "\n" not in line
    done = [as_cron_runs(line) for _ in range(2)]
    calls = (commands / "calls").read_text().splitlines()
    assert calls == [f"{project}|retrain --env by_night --json"] * 2
    assert (project / DECISIONS).read_text().splitlines() == ['[{"outcome": "held"}]'] * 2
    assert [run.stderr for run in done] == ["", ""]
    assert all(("exit code 4" in run.stdout) == (code == 4) for run in done)
    assert code or done[0].stdout == ""


def test_cron_line__calls_the_kedro_of_this_environment(project: Path) -> None:
    kedro = Path(sys.executable).with_name("kedro")
    assert f"{shlex.quote(str(kedro))} retrain --env street_scenes" in cron_line(
        project, None, NIGHTLY
    )


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("3 * * *", "five fields"),
        ("@daily", "five fields"),
        ("0 3 * *\n* rm", "five fields"),
        ("60 3 * * *", "the minute"),
        ("0 24 * * *", "the hour"),
        ("0 3 0 * *", "the day of the month"),
        ("0 3 * Foo *", "the month"),
        ("0 3 * * 8", "the day of the week"),
        ("*/0 3 * * *", "the minute"),
        ("5/15 3 * * *", "the minute"),
        ("0 5-3 * * *", "the hour"),
        ("0 3, * * *", "the hour"),
        ("0 ٣ * * *", "the hour"),
    ],
)
def test_schedules__say_plainly_what_is_no_cron_expression(
    project: Path, when: str, said: str
) -> None:
    with pytest.raises(OptionsError, match=said):
        cron_line(project, None, when)


@pytest.mark.parametrize("case", ["nowhere", "base", "../conf/by_night"])
def test_schedules__ask_for_a_case_that_is_there(project: Path, case: str) -> None:
    for schedule in (cron_line, systemd_units):
        with pytest.raises(OptionsError, match="by_night, street_scenes"):
            schedule(project, case, NIGHTLY)


# Systemd.


@pytest.mark.parametrize(
    ("when", "events"),
    [
        (NIGHTLY, ["*-*-* 03:00:00"]),
        ("*/20 9-11 * * *", ["*-*-* 09,10,11:00,20,40:00"]),
        ("5 4 1 Jan,7 *", ["*-01,07-01 04:05:00"]),
        ("0 3 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 03:00:00"]),
        ("0 3 * * 7", ["Sun *-*-* 03:00:00"]),
        ("0 3 * * 0-7", ["*-*-* 03:00:00"]),
        # Cron runs on either; systemd would wait for a Friday the 13th.
        ("0 3 13 * Fri", ["Fri *-*-* 03:00:00", "*-*-13 03:00:00"]),
    ],
)
def test_calendar_lines__say_in_systemds_words_when_cron_would_run(
    when: str, events: list[str]
) -> None:
    assert calendar_lines(when) == events


field_parts = st.sampled_from(["*", "*/2", "1", "1,3", "1-5", "2-6/2"])


@given(st.lists(field_parts, min_size=5, max_size=5))
def test_calendar_lines__are_told_of_every_cron_expression(fields: list[str]) -> None:
    assert check_cron(" ".join(fields)) == fields
    for event in calendar_lines(" ".join(fields)):
        assert event.endswith(":00") and "/" not in event


def read_unit(text: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def test_systemd_units__are_a_service_that_runs_once_and_its_timer(project: Path) -> None:
    units = systemd_units(project, "by_night", NIGHTLY)
    assert list(units) == ["graft-retrain-by_night.service", "graft-retrain-by_night.timer"]
    service, timer = (read_unit(text) for text in units.values())
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["SuccessExitStatus"] == "3 4 5 143"
    assert service["Service"]["KillSignal"] == "SIGTERM"
    assert int(service["Service"]["TimeoutStopSec"]) >= 60
    assert service["Service"]["SyslogIdentifier"] == "graft-retrain-by_night"
    assert service["Service"]["WorkingDirectory"].replace("%%", "%") == str(project)
    assert service["Service"]["ExecStart"].endswith('/kedro" retrain --env by_night --json')
    assert timer["Timer"]["OnCalendar"] == "*-*-* 03:00:00"
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.parametrize("when", ["daily", "Sun *-*-* 04:30", "*-*-01 00:00:00 Europe/Berlin"])
def test_systemd_units__take_a_calendar_event_as_it_is(project: Path, when: str) -> None:
    timer = systemd_units(project, None, when)["graft-retrain-street_scenes.timer"]
    assert f"\nOnCalendar={when}\n" in timer


@pytest.mark.parametrize("when", ["", "@daily", "0 3 * *", "Sun\nUnit=x", "sometimes"])
def test_systemd_units__say_plainly_what_is_no_schedule(project: Path, when: str) -> None:
    with pytest.raises(OptionsError, match="schedule of systemd cannot be read"):
        systemd_units(project, None, when)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("when", [NIGHTLY, "*/20 9-17 1,15 * Mon-Fri", "daily"])
def test_systemd_units__are_verified_by_systemd(
    project: Path, environment: Callable[[int], Path], tmp_path: Path, when: str
) -> None:
    commands = environment(0)
    units = tmp_path / "units"
    units.mkdir()
    for name, text in systemd_units(project, "by_night", when).items():
        (units / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(units.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "graft-retrain" in line]
    (commands / "kedro").unlink()
    done = subprocess.run(
        ["systemd-analyze", "verify", str(units / "graft-retrain-by_night.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(commands / "kedro") in done.stderr, "the path was not read as it is"


# Airflow.


@pytest.fixture(scope="module")
def dag_text() -> str:
    """What `kedro airflow create --env street_scenes` writes, by the same calls of Jinja."""
    bootstrap_project(ROOT)
    loader = jinja2.FileSystemLoader(ROOT / "conf")
    environment = jinja2.Environment(autoescape=True, loader=loader, lstrip_blocks=True)
    settings = yaml.safe_load((ROOT / "conf/base/airflow.yml").read_text())["default"]
    return environment.get_template("airflow_dag.j2").render(
        pipeline=register_pipelines()["__default__"],
        env="street_scenes",
        package_name="graft",
        **settings,
    )


class Wired:
    """Stands in for a task of Airflow: which arguments it has, and what comes after it."""

    def __init__(self, name: str, arguments: tuple[str, ...], wired: list["Wired"]) -> None:
        self.name, self.arguments, self.after = name, arguments, list[str]()
        wired.append(self)

    def __rshift__(self, other: "Wired") -> "Wired":
        self.after.append(other.name)
        return other


def airflow_that_wires(dags: dict[str, Any]) -> types.ModuleType:
    wired: list[Wired] = []

    class Task:
        def __init__(self, function: Callable[..., Any], task_id: str = "") -> None:
            self.function, self.name = function, task_id or function.__name__

        def override(self, task_id: str) -> "Task":
            return Task(self.function, task_id)

        def __call__(self, *arguments: str) -> Wired:
            return Wired(self.name, arguments, wired)

    def dag(dag_id: str, **settings: Any) -> Callable[..., Any]:
        def lay(function: Callable[[], None]) -> Callable[[], None]:
            def call() -> None:
                wired.clear()
                function()
                dags[dag_id] = (settings, list(wired))

            return call

        return lay

    sdk = types.ModuleType("airflow.sdk")
    vars(sdk).update(dag=dag, task=Task)
    return sdk


class FailNowError(Exception):
    """Stands in for AirflowFailException."""


@pytest.fixture
def load_dag(
    dag_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[types.ModuleType, dict[str, Any]]]:
    def load() -> tuple[types.ModuleType, dict[str, Any]]:
        dags: dict[str, Any] = {}
        exceptions = types.ModuleType("airflow.sdk.exceptions")
        vars(exceptions)["AirflowFailException"] = FailNowError
        for module in (types.ModuleType("airflow"), airflow_that_wires(dags), exceptions):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        file = tmp_path / "airflow_dags" / "graft_street_scenes_dag.py"
        file.parent.mkdir()
        file.write_text(dag_text)
        spec = importlib.util.spec_from_file_location("generated_dag", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module, dags

    return load


def test_airflow_dag__compiles_and_names_every_stage_and_task(dag_text: str) -> None:
    told = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(dag_text).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("CASE", "TASKS", "STAGES", "GOOD", "FOR_A_PERSON")
    }
    bootstrap_project(ROOT)
    assert list(told["STAGES"]) == [name for name in register_pipelines() if name[0] != "_"]
    assert sorted(told["TASKS"]) == sorted(tasks_of_case(ROOT, "street_scenes"))
    assert set(told["GOOD"]) == {ExitCode.STANDS, ExitCode.REFUSED}
    assert set(told["FOR_A_PERSON"]) == {ExitCode.USAGE, ExitCode.HELD, ExitCode.LABELS_NEEDED}


def test_airflow_dag__runs_the_stages_of_each_task_as_dvc_does(
    load_dag: Callable[[], tuple[types.ModuleType, dict[str, Any]]],
) -> None:
    settings, wired = load_dag()[1]["graft-street_scenes-stages"]
    assert settings["schedule"] is None
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    after = {task.name: task.after for task in wired}
    assert len(wired) == 3 * len(load_stages(stages))
    for task in tasks_of_case(ROOT, "street_scenes"):
        names = [f"{task}.{stage}" for stage in load_stages(stages)]
        assert [after[name] for name in names] == [[name] for name in names[1:]] + [[]]


def load_stages(stages: dict[str, Any]) -> list[str]:
    """Of dvc.yaml, those that run pipelines of Kedro."""
    return [name for name, stage in stages.items() if "kedro run" in str(stage.get("do"))]


def test_airflow_dag__retrains_in_time_by_one_task(
    load_dag: Callable[[], tuple[types.ModuleType, dict[str, Any]]],
) -> None:
    settings, wired = load_dag()[1]["graft-street_scenes-retrain"]
    assert [task.name for task in wired] == ["retrain"]
    assert check_cron(settings["schedule"])
    assert settings["max_active_runs"] == 1 and settings["catchup"] is False


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 143])
def test_airflow_dag__reads_the_exit_code_of_retraining(
    load_dag: Callable[[], tuple[types.ModuleType, dict[str, Any]]],
    environment: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
) -> None:
    commands = environment(code)
    monkeypatch.setenv("GRAFT_KEDRO", str(commands / "kedro"))
    retrain = load_dag()[0].retrain.function
    if code in (0, 3):
        assert retrain() == json.loads('[{"outcome": "held"}]')
    else:
        final = code in (2, 4, 5)  # again it would be the same
        with pytest.raises(FailNowError if final else RuntimeError, match=f"exit code {code}"):
            retrain()
    called = (commands / "calls").read_text().splitlines()
    assert called == [f"{tmp_path}|retrain --env street_scenes --json"]


@pytest.mark.parametrize(
    ("number", "raised"), [("SIGTERM", RuntimeError), ("SIGINT", KeyboardInterrupt)]
)
def test_airflow_dag__lets_a_training_that_is_stopped_write_its_checkpoint(
    load_dag: Callable[[], tuple[types.ModuleType, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: str,
    raised: type[BaseException],
) -> None:
    script = tmp_path / "kedro"
    script.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        "    pathlib.Path('checkpoint').write_text('whole')\n"
        "    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"os.kill(os.getppid(), signal.{number})\n"  # Airflow stops the task once this one works
        "time.sleep(60)\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("GRAFT_KEDRO", str(script))
    # Where tests run in the background a shell has it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(raised):
            load_dag()[0].run_stage.function("classification", "ingestion")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "checkpoint").read_text() == "whole"


def test_airflow_dag__is_what_the_command_of_kedro_airflow_writes(
    dag_text: str, tmp_path: Path
) -> None:
    pytest.importorskip("kedro_airflow", reason="the extra airflow is not installed")
    command = [
        *(str(Path(sys.executable).with_name("kedro")), "airflow", "create"),
        *("--env", "street_scenes", "--jinja-file", "conf/airflow_dag.j2"),
        *("--target-dir", str(tmp_path)),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    written = (tmp_path / "graft_street_scenes_dag.py").read_text()
    assert written.strip() == dag_text.strip()


def test_airflow_dag__is_loaded_by_airflow(dag_text: str, tmp_path: Path) -> None:
    pytest.importorskip("airflow.sdk", reason="Airflow is not installed beside graft")
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "graft_street_scenes_dag.py").write_text(dag_text)
    bag = DagBag(tmp_path, include_examples=False)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["graft-street_scenes-retrain", "graft-street_scenes-stages"]
