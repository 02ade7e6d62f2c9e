"""Real processes, killed at moments that nobody chose and in the midst of a save, lose no bit."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from killed_training import CASES, FORKED, Kill, train_there

SHORT = ("mixed", "boxes", "masks")
STEPS_PER_EPOCH = {"classification": 4, "detection": 1, "segmentation": 2}
SAVES = ("half written", "written", "moved")


def start(name: str, folder: Path, kill: Kill | None = None) -> Any:
    """A training that has just begun."""
    (folder / "ready").unlink(missing_ok=True)
    process = FORKED.Process(target=train_there, args=(name, folder, result_of(folder), kill))
    process.start()
    until = time.monotonic() + 120
    while not (folder / "ready").exists():
        assert process.is_alive() and time.monotonic() < until
        time.sleep(0.01)
    return process


def result_of(folder: Path) -> Path:
    return folder.with_suffix(".json")


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result_of(folder).read_text())
    return found


def finish(name: str, folder: Path) -> dict[str, Any]:
    process = start(name, folder)
    process.join(120)
    assert process.exitcode == 0
    return told(folder)


def kill_there(name: str, folder: Path, kill: Kill) -> None:
    process = start(name, folder, kill)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def kills(name: str) -> list[Kill]:
    """Steps drawn at random in each of three epochs, and between them each place of a save."""
    rng, steps = random.Random(name), STEPS_PER_EPOCH[CASES[name].task]
    found: list[Kill] = [("step", rng.randint(1, steps))]
    for place in SAVES:  # where a checkpoint is there, the first save moves it
        found += [(place, 1 + (len(found) == 1)), ("step", rng.randint(1, steps))]
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in SHORT else pytest.mark.slow) for n in CASES]
)
def test_training__killed_at_steps_and_in_saves_ends_bit_for_bit_the_same(
    name: str, tmp_path: Path
) -> None:
    wanted = finish(name, tmp_path / "whole")
    folder = tmp_path / "killed"
    for kill in kills(name):
        kill_there(name, folder, kill)
    assert list(folder.glob("*.safetensors*")), "no kill came after the first checkpoint"
    assert finish(name, folder) == wanted
    assert len(wanted["history"]) == 4 and len(wanted["machines"]) == 1
    assert bool(wanted["folds"]) == CASES[name].folds
    assert len(list(folder.iterdir())) == len(list((tmp_path / "whole").iterdir()))


def test_training__killed_by_the_system_again_and_again_ends_bit_for_bit_the_same(
    tmp_path: Path,
) -> None:
    started = time.monotonic()
    wanted = finish("mixed", tmp_path / "whole")
    length = time.monotonic() - started
    rng, folder, killed = random.Random(0), tmp_path / "killed", 0
    for _ in range(4):
        process = start("mixed", folder)
        time.sleep(rng.uniform(0.1, 0.6) * length)
        process.kill()
        process.join(60)
        killed += process.exitcode != 0
    assert killed >= 2, "too few were killed to tell"
    assert finish("mixed", folder)["history"] == wanted["history"]
    assert told(folder)["weights"] == wanted["weights"]
