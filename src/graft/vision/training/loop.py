"""The training loop: short, ours, the same for every task."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch

from graft.vision.augmentation.sampling import sample_seed
from graft.vision.backbones.freezing import set_training_mode
from graft.vision.backbones.weights import digest_state
from graft.vision.errors import TrainingError
from graft.vision.memory import memory_kept
from graft.vision.model import Learner
from graft.vision.runtime import machine_record
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.averaging import MovingAverage
from graft.vision.training.batches import Batch, TrainingBatches
from graft.vision.training.captured import compiling_pays, views_like
from graft.vision.training.checkpoint import (
    Checkpoint,
    last_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    told_of_machines,
)
from graft.vision.training.feeding import fed
from graft.vision.training.findings import Finding, Findings
from graft.vision.training.gradients import Added, Gradients
from graft.vision.training.landing import landed
from graft.vision.training.mixing import mix_views
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.refused import Met, Phase, RefusedBatch, refusal
from graft.vision.training.schedule import rate_at
from graft.vision.training.sizes import size_at
from graft.vision.training.strategies import (
    moving_tensors,
    parameter_groups,
    set_trainable,
    trainable_stages,
)
from graft.vision.training.validation import OddOutputsError, Validation

log = logging.getLogger("graft")

SKIP = ("cpu", "cuda")
"""Devices whose fused optimisers leave out a step when told that something was not finite, as they
do for scaled gradients: nobody waits to be told."""
FOUND: dict[str, tuple[str, Phase]] = {
    "loss": ("a loss of {}", "training"),
    "norm": ("a gradient norm of {}", "training"),
    "weights": ("weights that are not finite", "step"),
}
"""How what is not finite is told, and the phase in which it was met."""


@dataclass
class Trained:
    """The model with its best weights, how it got there, and the proof of what stayed."""

    model: Learner
    history: pd.DataFrame
    best_epoch: int
    epochs: int
    seconds: float
    frozen: dict[str, object] = field(default_factory=dict)
    machines: list[dict[str, object]] = field(default_factory=list)
    """The classes of machine that trained, in turn: where there is one, all is repeatable bit for
    bit on it."""


class Training:
    """One training, from its start or from its last checkpoint, to its end.

    Args:
        digest: identifies the training (data, policy, options, start weights): a finished
            training of the same digest is not run again.
        checkpoint: where it is kept; None keeps nothing.
        after_epoch: called with each epoch's row of the history.
        origin: how the model is built, for whoever meets a refused batch again (plain values).

    Attributes:
        reads_late: whether what a step found is read only once the next one is under way, so that
            a GPU never waits for the CPU. What is not finite moves no weight either way: the
            optimiser itself is told, on the device.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        classes: ClassTable,
        model: Learner,
        batches: TrainingBatches,
        validation: Validation,
        loss_options: LossOptions,
        options: FineTuningOptions,
        seed: int,
        digest: str,
        checkpoint: Path | None,
        after_epoch: Callable[[dict[str, float]], None] | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.task, self.classes = name, task, classes
        self.batches, self.validation = batches, validation
        self.loss_options, self.options, self.seed = loss_options, options, seed
        self.digest, self.checkpoint, self.after_epoch = digest, checkpoint, after_epoch
        self.origin = dict(origin or {})
        self.precision = Precision(options)
        self.model = model.to(self.precision.device).to(memory_format=torch.channels_last)
        self.start = {name: t.detach().clone() for name, t in model.state_dict().items()}
        self.moving = moving_tensors(model, options)
        state = self.model.state_dict()
        self.floating = [state[n] for n in sorted(self.moving) if state[n].is_floating_point()]
        self.gradients = Gradients(
            name, task, classes, self.model, self.precision, loss_options, options
        )
        self.names: dict[torch.Tensor, str] = {
            parameter: name for name, parameter in model.named_parameters()
        }
        self.optimizer = torch.optim.AdamW(parameter_groups(model, options), fused=True)
        decay = options.ema_decay
        self.average = MovingAverage(model, decay, self.moving) if decay else None
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_score, self.best_epoch = (-math.inf, -math.inf), -1
        self.epoch, self.epochs, self.seconds, self.steps = 0, options.epochs, 0.0, 0
        self.done = False
        self.machines = [machine_record()]
        self.reads_late = self.precision.device.type == "cuda"
        self.findings = Findings(self.precision.device)
        self.losses: list[float] = []

    def run(self) -> Trained:
        """Train to the end.

        Raises:
            TrainingError: when a loss or gradient is not finite, or a frozen tensor moved.
        """
        self._resume()
        if not self.done:
            with fed(self.name, self.batches, self.precision.device.type, self.options.epochs):
                self._run_epochs()
            self.gradients.release()
            self.done = True
            self._save()
        self.model.load_state_dict(self.best)
        return Trained(
            self.model,
            pd.DataFrame(self.history),
            self.best_epoch,
            self.epochs,
            self.seconds,
            self._prove_frozen(),
            self.machines,
        )

    def _run_epochs(self) -> None:
        self._tell_device()
        self.precision.meet(self.model, self.precision.put(self._example))
        if self.epoch == 0:
            self.epochs = self._plan_epochs()
        # Asked before each epoch, so that a fall right after the last one changes nothing.
        with memory_kept():
            while self.epoch < self.epochs and not self._should_stop():
                self._run_epoch(self.epoch)

    def _run_epoch(self, epoch: int) -> None:
        started = time.perf_counter()
        size_px = size_at(epoch, self.epochs, self.options.sizes_px)
        losses = self.train_on(self.batches.epoch(epoch, size_px), epoch, size_px)
        images, trained = len(losses) * self.batches.size, time.perf_counter() - started
        self._finish_epoch(epoch, float(np.mean(losses)), images, trained, started)

    def train_on(
        self, batches: Iterable[Batch], epoch: int, size_px: int | None = None
    ) -> Sequence[float]:
        """Train on full batches, at most as many as an epoch has, as this epoch does.

        Args:
            epoch: counted from 0; rates, and what is drawn by chance, follow it.
            size_px: the side of the views where it is not their usual one.

        Returns the loss of each. Raises `TrainingError` as `run` does.
        """
        torch.manual_seed(sample_seed(self.seed, epoch, "model"))
        generator = np.random.default_rng(sample_seed(self.seed, epoch, "mix"))
        stages = trainable_stages(self.model, self.options, epoch / self.epochs)
        set_trainable(self.model, self.options, stages)
        set_training_mode(self.model, stages, batch_norm_moves=self.options.batch_norm == "moves")
        self._prepare(stages, size_px)
        self.losses = []
        for number, batch in enumerate(landed(batches, self.precision.device)):
            self._step(batch, epoch, number, generator)
        self._settle(None)
        return self.losses

    def _prepare(self, stages: Sequence[str], size_px: int | None) -> None:
        if self.precision.device.type == "cuda":
            views = views_like(self._example, self.batches.size, size_px)
            compiles = compiling_pays(self.options, self.epochs * len(self.batches))
            self.gradients.prepare(views, stages, compiles=compiles)

    @cached_property
    def _example(self) -> torch.Tensor:
        return self.batches.example()

    def _tell_device(self) -> None:
        if self.precision.device.type == "cuda":
            log.info("    %s trains in %s", self.name, self.precision.told())
        elif self.options.compile == "always":
            log.info("    %s: nothing is compiled, for there is no CUDA device", self.name)

    def _step(self, batch: Batch, epoch: int, number: int, generator: np.random.Generator) -> float:
        """One batch; returns the loss that was read last: its own, unless reading is late."""
        each = self.options.accumulate
        steps = math.ceil(len(self.batches) / each)
        step = epoch * steps + number // each
        factor = rate_at(step, self.epochs * steps, self.options.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        mix = mix_views(batch.views, self.options, generator)
        met = Met(batch, mix, epoch, number, torch.get_rng_state())
        gathered = min(each, len(self.batches) - number // each * each)
        added = self.gradients.start(batch, mix, gathered)
        if self.reads_late:
            self._settle(added)
        self.findings.note(Finding("loss", added.loss, met, added))
        if (number + 1) % each == 0 or number + 1 == len(self.batches):
            self._move(met, added)
        if self.reads_late:
            self.findings.send()
        else:
            self._settle_now(added)
        return self.losses[-1] if self.losses else math.nan

    def _settle_now(self, added: Added) -> None:
        self.findings.send()
        self._settle(added)

    def _settle(self, latest: Added | None) -> None:
        """Read what was sent, and refuse the first that is not finite.

        ``latest``: gradients that were added since, and are of no use then.
        """
        for finding, value in self.findings.read():
            if not math.isfinite(value):
                if latest is not None and latest is not finding.added:
                    latest.undo()
                if finding.kind != "weights":  # those are kept as the step left them
                    finding.added.undo()
                said, phase = FOUND[finding.kind]
                self._refuse(finding.met, said.format(value), phase)
            if finding.kind == "loss":
                self.losses.append(value)

    @torch.no_grad()
    def _pull(self) -> None:
        """L2-SP: moving weights of the backbone go part of their way back to the start.

        Decoupled from the gradient, as AdamW's weight decay is: inside the loss, Adam's scaling
        would turn a strong pull into swings around the start.
        """
        for group in self.optimizer.param_groups if self.options.l2_sp else ():
            share = min(1.0, group["lr"] * self.options.l2_sp)
            for parameter in group["params"]:
                if parameter.grad is not None and group["name"] != "head":
                    start = self.start[self.names[parameter]]
                    parameter.lerp_(start.to(parameter.device), share)

    def _move(self, met: Met, added: Added) -> None:
        """One step of the optimiser, unless something noted is not finite: then nothing moves."""
        moving = [p for g in self.optimizer.param_groups for p in g["params"] if p.grad is not None]
        limit = self.options.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(moving, limit)
        self.findings.note(Finding("norm", norm, met, added))
        if self.precision.device.type in SKIP:
            self.optimizer.found_inf = self.findings.is_odd()  # type: ignore[attr-defined]
        else:
            self._settle_now(added)
        self.optimizer.step()
        if self.options.l2_sp:  # which nothing would hold back
            self._settle_now(added)
            self._pull()
        # A step itself may overflow, of which no gradient tells.
        largest = torch.stack(torch._foreach_norm(self.floating, ord=math.inf)).max()
        self.findings.note(Finding("weights", largest, met, added))
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        if self.average:
            self.average.update(self.model)

    def _finish_epoch(
        self, epoch: int, loss: float, images: int, trained: float, started: float
    ) -> None:
        state = self.average.state if self.average else self.model.state_dict()
        validated = self._validate(state)
        key = (validated["score"], -validated["loss"])
        if math.isnan(key[0]):  # no validation: the last epoch is kept
            key = (float(epoch), 0.0)
        elif math.isnan(key[1]):
            key = (key[0], 0.0)
        if key > self.best_score:
            self.best_score, self.best_epoch = key, epoch
            self.best = {name: tensor.detach().clone() for name, tensor in state.items()}
        self.seconds += time.perf_counter() - started
        row = {
            "epoch": epoch,
            "train_loss": loss,
            "val_loss": validated["loss"],
            f"val_{self.task.primary_metric}": validated["score"],
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
            "images_per_s": images / max(trained, 1e-9),
            "seconds": self.seconds,
            "images_at_once": min(self.gradients.at_once.size, self.batches.size),
        }
        self.history.append(row)
        self.epoch = epoch + 1
        left = (self.epochs - self.epoch) * self.seconds / self.epoch
        log.info(
            "    %s epoch %d/%d  loss %.3f  val loss %s  val %s %s  %.0f images/s  %.0f s left",
            self.name,
            epoch + 1,
            self.epochs,
            loss,
            _shown(validated["loss"]),
            self.task.primary_metric,
            _shown(validated["score"]),
            row["images_per_s"],
            left,
        )
        self._save()
        if self.after_epoch:
            self.after_epoch(row)

    def _validate(self, state: dict[str, torch.Tensor]) -> dict[str, float]:
        """Score the state that would be kept, then put the moving weights back."""
        if not self.average:
            return self._score()
        own = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(state)
        validated = self._score()
        self.model.load_state_dict(own)
        return validated

    def _score(self) -> dict[str, float]:
        try:
            with self.precision.around(self.model):
                return self.validation.score(self.model)
        except OddOutputsError as error:
            met = Met(error.batch, None, self.epoch, error.number, torch.get_rng_state())
            self._refuse(met, "outputs that are not finite", "validation", error.images)

    def _should_stop(self) -> bool:
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

    def _plan_epochs(self) -> int:
        """As many epochs as the budget allows, by the time of a few steps that are not kept."""
        if self.options.budget_s is None:
            return self.options.epochs
        step_s = self._time_steps()
        validation_s = step_s * len(self.validation) / (3 * self.batches.size)
        affordable = int(self.options.budget_s / (step_s * len(self.batches) + validation_s))
        planned = max(1, min(self.options.epochs, affordable))
        log.info(
            "    %s: %d of %d epochs fit into %.0f s",
            self.name,
            planned,
            self.options.epochs,
            self.options.budget_s,
        )
        return planned

    def _time_steps(self, count: int = 4) -> float:
        stages = trainable_stages(self.model, self.options, 1.0)
        set_trainable(self.model, self.options, stages)
        set_training_mode(self.model, stages, batch_norm_moves=False)
        self._prepare(stages, None)
        times = []
        started = time.perf_counter()
        for number, batch in enumerate(landed(self.batches.epoch(0), self.precision.device)):
            self.gradients.add(batch, None)
            times.append(time.perf_counter() - started)
            started = time.perf_counter()
            if number + 1 == count:
                break
        self.optimizer.zero_grad(set_to_none=True)
        self.model.load_state_dict(self.start)
        return 1.1 * float(np.median(times[1:] or times))

    def _refuse(
        self, met: Met, what: str, phase: Phase = "training", images: Sequence[str] = ()
    ) -> NoReturn:
        """Stop, and leave the batch to be met again beside the checkpoint."""
        facts = {
            "name": self.name,
            "epochs": self.epochs,
            "found": what,
            "phase": phase,
            "options": self.options.model_dump(mode="json"),
            "loss_options": self.loss_options.model_dump(mode="json"),
            "origin": self.origin,
        }
        refused = RefusedBatch(met, self.model.state_dict(), facts)
        raise refusal(refused, self.checkpoint, images or met.batch.ids)

    def _prove_frozen(self) -> dict[str, object]:
        """Digests of what must not move, before and after."""
        before = digest_state({n: t for n, t in self.start.items() if n not in self.moving})
        after = digest_state({n: t for n, t in self.best.items() if n not in self.moving})
        if before != after:
            raise TrainingError(f"{self.name}: a frozen tensor moved", found=after, allowed=before)
        count = len(self.start) - len(self.moving)
        return {"tensors": count, "before": before, "after": after}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {
            "model": self.model.state_dict(),
            "average": self.average.state if self.average else {},
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer, self.names),
        }
        facts: dict[str, Any] = {
            "digest": self.digest,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_score": list(self.best_score),
            "done": self.done,
            "seconds": self.seconds,
            "steps": self.average.steps if self.average else self.steps,
            "images_at_once": self.gradients.at_once.size,
            "machines": self.machines,
        }
        if self.done:  # the rest is only needed to go on
            tensors = {"best": self.best}
        Checkpoint(tensors, facts).save(self.checkpoint)

    def _resume(self) -> None:
        found = last_checkpoint(self.checkpoint, self.digest) if self.checkpoint else None
        if found is None:
            return
        facts = found.facts
        self.epoch, self.epochs, self.history = facts["epoch"], facts["epochs"], facts["history"]
        self.best_epoch, self.best_score = facts["best_epoch"], tuple(facts["best_score"])
        self.seconds, self.done, self.steps = facts["seconds"], facts["done"], facts["steps"]
        self.best = found.tensors["best"]
        self.model.load_state_dict(found.tensors["best" if self.done else "model"])
        if self.average and not self.done:
            kept = {n: t.to(self.precision.device) for n, t in found.tensors["average"].items()}
            self.average.state, self.average.steps = kept, self.steps
        restore_optimizer(self.optimizer, self.names, found.tensors["optimizer"])
        self.gradients.at_once.size = facts["images_at_once"]
        state = "is done already" if self.done else f"goes on after epoch {self.epoch}"
        log.info("    %s %s", self.name, state)
        here, self.machines = self.machines[-1], facts["machines"]
        if not self.done and self.machines[-1] != here:
            log.warning("    %s %s", self.name, told_of_machines(self.machines[-1], here))
            self.machines = [*self.machines, here]


def _shown(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"
