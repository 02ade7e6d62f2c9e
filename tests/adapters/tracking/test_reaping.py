"""A run whose process was killed does not read RUNNING for ever."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from graft.adapters.tracking.reaping import end_dead_runs, is_dead, this_process

SAY_NAME = "from graft.adapters.tracking.reaping import this_process; print(this_process())"


class FakeClient:
    """Holds running runs by id and process, and notes how they end."""

    def __init__(self, processes: dict[str, str]) -> None:
        self.processes, self.ended = processes, {}  # type: ignore[var-annotated]
        self.finished = {}  # type: ignore[var-annotated]

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="7")

    def search_runs(self, experiments: list[str], asked: str) -> list[Any]:
        assert experiments == ["7"] and "RUNNING" in asked
        return [
            SimpleNamespace(
                info=SimpleNamespace(run_id=name), data=SimpleNamespace(tags={"process": process})
            )
            for name, process in self.processes.items()
        ]

    def set_tag(self, run_id: str, key: str, value: str) -> None: ...

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(experiment_id="7"))

    def search_logged_models(self, experiments: list[str], asked: str) -> list[Any]:
        """Of each run one that is there, and one whose files were still coming."""
        run_id = asked.removeprefix("source_run_id = '").removesuffix("'")
        return [
            SimpleNamespace(model_id=f"{status} of {run_id}", status=status)
            for status in ("READY", "PENDING")
        ]

    def finalize_logged_model(self, model_id: str, status: str) -> None:
        self.finished[model_id] = status

    def set_terminated(self, run_id: str, status: str) -> None:
        self.ended[run_id] = status


def test_end_dead_runs__ends_those_whose_process_is_gone_and_no_others() -> None:
    gone = subprocess.check_output([sys.executable, "-c", SAY_NAME], text=True).strip()
    here = this_process()
    place, _, number = here.rpartition("#")
    reused = f"{place}#{number.partition('@')[0]}@1"
    client = FakeClient(
        {
            "gone": gone,
            "reused": reused,
            "alive": here,
            "other host": "elsewhere/pid:[1]#5@9",
            "other tool": "",
        }
    )
    assert end_dead_runs(client, "birds") == ["gone", "reused"]
    assert client.ended == {"gone": "KILLED", "reused": "KILLED"}
    assert client.finished == {"PENDING of gone": "FAILED", "PENDING of reused": "FAILED"}


def test_is_dead__of_a_process_that_nobody_has_asked_about_yet() -> None:
    process = subprocess.Popen([sys.executable, "-c", SAY_NAME], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.read().strip()  # to its end
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert is_dead(name)
    process.wait()
    assert is_dead(name) and not is_dead(this_process())
