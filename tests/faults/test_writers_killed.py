"""What writes a file that outlives its process writes all of it or nothing, wherever it dies."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_writers import WRITERS as MODEL_WRITERS
from write_sites import EXPORT_KILLED, SITES, WRITERS_KILLED
from writers import WRITERS, Writer

HERE = Path(__file__).parent
KILLS, FAILURES = ("killed_at", "cut_off"), ("failing_at", "full_disk")
Forced = dict[str, Any]
KILLED = dict.fromkeys(WRITERS, "writers") | dict.fromkeys(MODEL_WRITERS, "model_writers")
MODULES = {**KILLED, "export": "export_writers"}


class Forcing:
    """A process of `forced_writing.py` for each module of writers."""

    def __init__(self, scratch: Path, most: int) -> None:
        self.scratch, self.most = scratch, most
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.found: dict[str, Forced] = {}

    def trials(self, name: str) -> Forced:
        """What became of a writer's trials; tried once."""
        if name not in self.found:
            process = self._process(MODULES[name])
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(name + "\n")
            process.stdin.flush()
            self.found[name] = json.loads(process.stdout.readline())
        return self.found[name]

    def _process(self, module: str) -> subprocess.Popen[str]:
        if module not in self.processes:
            folder = self.scratch / module
            folder.mkdir()
            paths = os.pathsep.join([str(HERE), *filter(None, sys.path)])
            self.processes[module] = subprocess.Popen(
                [sys.executable, str(HERE / "forced_writing.py"), module, folder, str(self.most)],
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self.processes[module]

    def close(self) -> None:
        """End them."""
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


@pytest.fixture(scope="module", params=[4, pytest.param(1000, marks=pytest.mark.slow)])
def forcing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Forcing]:
    """At most so many calls, evenly spread, meet a fault; slowly, each of them."""
    forcing = Forcing(tmp_path_factory.mktemp("forcing"), request.param)
    yield forcing
    forcing.close()


@pytest.mark.parametrize("name", KILLED)
def test_writer__leaves_the_old_value_or_the_new_whenever_it_is_stopped(
    name: str, forcing: Forcing
) -> None:
    check({**WRITERS, **MODEL_WRITERS}[name], forcing.trials(name)["trials"])


@pytest.mark.slow
def test_export__is_whole_or_not_there_whenever_it_is_stopped(forcing: Forcing) -> None:
    from export_writers import WRITERS as EXPORT_WRITERS

    found = forcing.trials("export")
    check(EXPORT_WRITERS["export"], found["trials"])
    assert {site for site, test in SITES.items() if test == EXPORT_KILLED} <= set(found["sites"])


def check(writer: Writer, trials: list[Forced]) -> None:
    kinds = {trial["fault"] for trial in trials if trial.get("ended") != "exit"}
    assert {"none", *KILLS[:1], *FAILURES[:1]} <= kinds
    wrong = [trial for trial in trials if not holds(writer, trial)]
    assert not wrong, json.dumps(wrong, indent=1)[:3000]


def holds(writer: Writer, trial: Forced) -> bool:
    """Old or new, and after the same writing once more: new, with nothing left beside it."""
    if trial["fault"] == "none":
        return bool(trial["read"] == 2)
    if "broken" in trial or trial["again"] != 2:
        return False
    allowed = {trial["before"], 2, *([0] if writer.refused else [])}
    litter = [name for name in trial["names"] if ".part" in name or ".old" in name]
    clean = trial["names"] == trial["names_whole"] if writer.same_names else not litter
    return trial["read"] in allowed and clean and is_told(writer, trial)


def is_told(writer: Writer, trial: Forced) -> bool:
    """A failure says what could not be written and what to do; a kill says nothing."""
    said = str(trial["ended"])
    if trial["fault"] in KILLS:
        return said in ("SIGKILL", "SIGXFSZ") or (said == "exit" and trial["read"] == 2)
    if not said:
        return bool(trial["read"] == 2) or trial["fault"] == "failing_at" or not writer.needed
    return "next: " in said and ("/written" in said or not writer.named)


def test_sites__that_are_said_to_be_killed_here_are(forcing: Forcing) -> None:
    met = {site for name in KILLED for site in forcing.trials(name)["sites"]}
    said = {site for site, test in SITES.items() if test == WRITERS_KILLED}
    assert said <= met
