"""Trainings in processes of their own, which a signal ends where test_killed.py says."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from learning_scenes import lay_learning_scenes
from tiny_ground import lay_tiny_ground
from tiny_training import history_of

from graft.vision.backbones.weights import digest_state
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground
from graft.vision.training import checkpoint, folding
from graft.vision.training.checkpoint import optimizer_tensors
from graft.vision.training.loop import Trained, Training
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.stepping import Steps

# Forked from a server that has imported, and has no threads that could be torn.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        "lightning_fabric",
        "graft.vision.contenders.fine_tuned",
        "graft.vision.tasks.classification",
        "graft.vision.tasks.detection",
        "graft.vision.tasks.segmentation",
    ]
)
PLAIN = {"strategy": "full", "epochs": 4, "batch_size": 4, "ema_decay": 0.9, "learning_rate": 2e-3}
MIXED = {
    **PLAIN,
    "strategy": "gradual",
    "batch_norm": "moves",
    "mixup_alpha": 0.3,
    "cutmix_alpha": 0.3,
    "sizes_px": (16, 32),
}


@dataclass(frozen=True)
class Case:
    """What is trained: a task of the table, and by which options."""

    task: str
    options: dict[str, Any]
    folds: bool = False


CASES = {
    "mixed": Case("classification", {**MIXED, "workers": 2}),
    "mixed between steps": Case("classification", {**MIXED, "workers": 0}),
    "folded": Case("classification", {**PLAIN, "workers": 0, "patience": 3}, folds=True),
    "stored": Case("classification", {**PLAIN, "frozen_stages": 3, "stored_views": 2}),
    "boxes": Case("detection", {**PLAIN, "workers": 2, "accumulate": 2}),
    "boxes stored": Case("detection", {**PLAIN, "frozen_stages": 2, "stored_views": 2}),
    "masks": Case("segmentation", {**PLAIN, "workers": 0, "batch_norm": "moves"}),
    "masks of a probe": Case("segmentation", {**PLAIN, "strategy": "probe", "workers": 2}),
}


def ground_of(case: Case, folder: Path) -> Ground:
    if case.task == "classification":
        return lay_tiny_ground(folder, preset="natural", dropout=0.2, train=16, val=6)
    return lay_learning_scenes(case.task, folder)


Kill = tuple[str, int]
"""At which ``step`` or ``save`` (counted from 1, in this process), and where in a save."""


def train_there(name: str, folder: Path, result: Path, kill: Kill | None) -> None:
    """Train a case, whose checkpoints lie in ``folder``, to the end that it is to have."""
    torch.set_num_threads(1)
    case = CASES[name]
    if case.folds:
        folding.VALUES_PER_FOLD = folding.VALUES_PER_WEIGHT = 0
    if kill:
        _lay_trap(*kill)
    ended: list[Training] = []
    keep = Training._prove_frozen
    Training._prove_frozen = lambda self: (ended.append(self), keep(self))[1]  # type: ignore
    ground = ground_of(case, folder.parent / f"{folder.name}-pixels")
    options = FineTuningOptions.parse(case.options, "test")
    (folder / "ready").parent.mkdir(parents=True, exist_ok=True)
    (folder / "ready").touch()
    trained = run_training("tiny", ground, ground.new_model(), folder, options)
    result.write_text(json.dumps(_told(trained, ended[0])))


def _told(trained: Trained, training: Training) -> dict[str, Any]:
    average = training.steps.average
    return {
        "weights": digest_state(dict(trained.model.state_dict())),
        "average": digest_state(average.state) if average else "",
        "optimizer": digest_state(
            optimizer_tensors(training.steps.optimizer, training.steps.names)
        ),
        "history": history_of(trained),
        "best_epoch": trained.best_epoch,
        "machines": trained.machines,
        "folds": len(training.precision._folds),
    }


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _lay_trap(where: str, at: int) -> None:
    """End this process at the ``at``-th time that it comes to this place."""
    left = [at]

    def is_there() -> bool:
        left[0] -= 1
        return left[0] == 0

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            if is_there():
                _end()
            return function(*given)

        return run

    save, replace = checkpoint.save_file, Path.replace

    def half_written(flat: Any, part: Path, metadata: Any) -> None:
        save(flat, part, metadata)
        if is_there():
            os.truncate(part, part.stat().st_size // 2)
            _end()

    def written(flat: Any, part: Path, metadata: Any) -> None:
        save(flat, part, metadata)
        if is_there():
            _end()

    def moved(self: Path, target: Path) -> Path:
        found = replace(self, target)
        if str(target).endswith(".previous") and is_there():
            _end()
        return found

    if where == "step":  # between the gradients and what they move
        Steps._move = before(Steps._move)  # type: ignore[method-assign]
    elif where == "half written":
        checkpoint.save_file = half_written
    elif where == "written":
        checkpoint.save_file = written
    elif where == "moved":
        Path.replace = moved  # type: ignore[method-assign, assignment]
