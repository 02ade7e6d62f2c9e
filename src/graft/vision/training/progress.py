"""How far a training has come, what was best in it, and whether it goes on."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch

from graft.vision.runtime import machine_record
from graft.vision.training.checkpoint import Checkpoint, told_of_machines
from graft.vision.training.options import FineTuningOptions

log = logging.getLogger("graft")


class Progress:
    """Of a training by its name, in the words of its log.

    Attributes:
        epoch: how many of ``epochs`` are finished, and so the number of the next, from 0.
        history: a row for each.
        best: the weights of the ``best_epoch``, and its (score, -loss).
        seconds: spent on all of them.
        machines: the classes of machine that trained, in turn.
    """

    def __init__(self, name: str, options: FineTuningOptions) -> None:
        self.name, self.options = name, options
        self.epoch, self.epochs, self.seconds, self.done = 0, options.epochs, 0.0, False
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_score, self.best_epoch = (-math.inf, -math.inf), -1
        self.machines = [machine_record()]

    def plan(self, epoch_s: float) -> None:
        """Take as many epochs of so many seconds as the budget allows, and one at least."""
        budget, wanted = self.options.budget_s, self.options.epochs
        if budget is None:
            return
        self.epochs = max(1, min(wanted, int(budget / epoch_s)))
        log.info("    %s: %d of %d epochs fit into %.0f s", self.name, self.epochs, wanted, budget)

    def should_stop(self) -> bool:
        """Whether patience or budget is at its end before all epochs are."""
        if self.epoch == 0:
            return False
        epoch = self.epoch - 1
        patience, budget = self.options.patience, self.options.budget_s
        if patience is not None and epoch - self.best_epoch >= patience:
            log.info("    %s stops: no better validation for %d epochs", self.name, patience)
            return True
        if budget is not None and self.seconds > budget and epoch + 1 < self.epochs:
            log.info("    %s stops: its budget of %.0f s is used", self.name, budget)
            return True
        return False

    def judge(self, state: Mapping[str, torch.Tensor], validated: Mapping[str, float]) -> None:
        """Keep a copy of what this epoch came to, where its validation is the best so far."""
        key = (validated["score"], -validated["loss"])
        if math.isnan(key[0]):  # no validation: the last epoch is kept
            key = (float(self.epoch), 0.0)
        elif math.isnan(key[1]):
            key = (key[0], 0.0)
        if key > self.best_score:
            self.best_score, self.best_epoch = key, self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in state.items()}

    def finish_epoch(self, row: dict[str, float], metric: str) -> None:
        """Add its row, which is told with the score by its name, and go on to the next."""
        self.history.append(row)
        self.epoch += 1
        left = (self.epochs - self.epoch) * self.seconds / self.epoch
        log.info(
            "    %s epoch %d/%d  loss %.3f  val loss %s  val %s %s  %.0f images/s  %.0f s left",
            self.name,
            self.epoch,
            self.epochs,
            row["train_loss"],
            _shown(row["val_loss"]),
            metric,
            _shown(row[f"val_{metric}"]),
            row["images_per_s"],
            left,
        )

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the best weights."""
        return {
            "epoch": self.epoch,
            "epochs": self.epochs,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_score": list(self.best_score),
            "done": self.done,
            "seconds": self.seconds,
            "machines": self.machines,
        }

    def resume(self, found: Checkpoint) -> None:
        """Go on from a checkpoint, and tell so; warn where this is another class of machine."""
        facts = found.facts
        self.epoch, self.epochs, self.history = facts["epoch"], facts["epochs"], facts["history"]
        self.best_epoch, self.best_score = facts["best_epoch"], tuple(facts["best_score"])
        self.seconds, self.done, self.best = facts["seconds"], facts["done"], found.tensors["best"]
        state = "is done already" if self.done else f"goes on after epoch {self.epoch}"
        log.info("    %s %s", self.name, state)
        here, self.machines = self.machines[-1], facts["machines"]
        if not self.done and self.machines[-1] != here:
            log.warning("    %s %s", self.name, told_of_machines(self.machines[-1], here))
            self.machines = [*self.machines, here]


def _shown(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"
