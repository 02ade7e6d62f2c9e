"""However many schedulers call at once, one has the turn; a dead one's turn expires."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from graft.adapters.retraining.turn import TurnTakenError, turn_to_retrain

SCHEDULERS, ROUNDS = 6, 20
forked = multiprocessing.get_context("fork")


def call(folder: Path, together: object, told: object, lease_s: float, works_s: float) -> None:
    together.wait()  # type: ignore[attr-defined]
    try:
        with turn_to_retrain(folder, "tiny-classification", lease_s) as turn:
            time.sleep(works_s)
            turn.check()
            told.put("trained")  # type: ignore[attr-defined]
    except TurnTakenError:
        told.put("superseded")  # type: ignore[attr-defined]


def test_turn__is_had_by_one_of_six_each_time(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        together, told = forked.Barrier(SCHEDULERS), forked.Queue()
        asked = (tmp_path / str(number), together, told, 5.0, 0.2)
        callers = [forked.Process(target=call, args=asked) for _ in range(SCHEDULERS)]
        for caller in callers:
            caller.start()
        answers = sorted(told.get(timeout=30) for _ in callers)
        for caller in callers:
            caller.join()
        assert answers == ["superseded"] * (SCHEDULERS - 1) + ["trained"]


def test_turn__outlasts_its_lease_while_its_holder_lives(tmp_path: Path) -> None:
    with turn_to_retrain(tmp_path, "tiny-classification", lease_s=0.3) as turn:
        time.sleep(0.9)
        with pytest.raises(TurnTakenError, match="held by"):
            turn_to_retrain(tmp_path, "tiny-classification").__enter__()
        turn.check()


def test_turn__expires_with_a_holder_that_was_killed(tmp_path: Path) -> None:
    together, told = forked.Barrier(2), forked.Queue()
    holder = forked.Process(target=call, args=(tmp_path, together, told, 1.0, 60.0))
    holder.start()
    together.wait()
    time.sleep(0.3)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with pytest.raises(TurnTakenError):
        turn_to_retrain(tmp_path, "tiny-classification").__enter__()
    time.sleep(1.1)
    with turn_to_retrain(tmp_path, "tiny-classification") as turn:
        turn.check()


def test_turn__is_told_to_a_holder_that_slept_through_it(tmp_path: Path) -> None:
    with turn_to_retrain(tmp_path, "tiny-classification", lease_s=0.2) as turn:
        turn.end()  # as if the machine had been paused
        time.sleep(0.4)
        with turn_to_retrain(tmp_path, "tiny-classification"), pytest.raises(TurnTakenError):
            turn.check()
