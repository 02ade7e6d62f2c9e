"""The training loop: short, ours, the same for every task."""

import logging
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
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch, TrainingBatches
from graft.vision.training.captured import compiling_pays, views_like
from graft.vision.training.checkpoint import Checkpoint, last_checkpoint
from graft.vision.training.feeding import fed
from graft.vision.training.gradients import Gradients
from graft.vision.training.landing import landed
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.progress import Progress
from graft.vision.training.refused import Met, Phase, RefusedBatch, refusal
from graft.vision.training.sizes import size_at
from graft.vision.training.stepping import Epoch, OddStepError, Steps
from graft.vision.training.strategies import moving_tensors, set_trainable, trainable_stages
from graft.vision.training.validation import OddOutputsError, Validation

log = logging.getLogger("graft")


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
        self.gradients = Gradients(
            name, task, classes, self.model, self.precision, loss_options, options
        )
        self.steps = Steps(self.gradients, options, self.start, self.moving)
        self.progress = Progress(name, options)

    def run(self) -> Trained:
        """Train to the end.

        Raises:
            TrainingError: when a loss or gradient is not finite, or a frozen tensor moved.
        """
        self._resume()
        progress = self.progress
        if not progress.done:
            with fed(self.name, self.batches, self.precision.device.type, self.options.epochs):
                self._run_epochs()
            self.gradients.release()
            progress.done = True
            self._save()
        self.model.load_state_dict(progress.best)
        return Trained(
            self.model,
            pd.DataFrame(progress.history),
            progress.best_epoch,
            progress.epochs,
            progress.seconds,
            self._prove_frozen(),
            progress.machines,
        )

    def _run_epochs(self) -> None:
        self._tell_device()
        self.precision.meet(self.model, self.precision.put(self._example))
        if self.progress.epoch == 0 and self.options.budget_s is not None:
            self.progress.plan(self._time_epoch())
        # Asked before each epoch, so that a fall right after the last one changes nothing.
        with memory_kept():
            while self.progress.epoch < self.progress.epochs and not self.progress.should_stop():
                self._run_epoch(self.progress.epoch)

    def _run_epoch(self, epoch: int) -> None:
        started = time.perf_counter()
        size_px = size_at(epoch, self.progress.epochs, self.options.sizes_px)
        losses = self.train_on(self.batches.epoch(epoch, size_px), epoch, size_px)
        images, trained = len(losses) * self.batches.size, time.perf_counter() - started
        validated = self._validate()
        self.progress.judge(self.steps.state, validated)
        self.progress.seconds += time.perf_counter() - started
        row = {
            "epoch": epoch,
            "train_loss": float(np.mean(losses)),
            "val_loss": validated["loss"],
            f"val_{self.task.primary_metric}": validated["score"],
            "learning_rate": self.steps.optimizer.param_groups[-1]["lr"],
            "images_per_s": images / max(trained, 1e-9),
            "seconds": self.progress.seconds,
            "images_at_once": min(self.gradients.at_once.size, self.batches.size),
        }
        self.progress.finish_epoch(row, self.task.primary_metric)
        self._save()
        if self.after_epoch:
            self.after_epoch(row)

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
        epochs, mixing = self.progress.epochs, sample_seed(self.seed, epoch, "mix")
        self._prepare(epoch / epochs, size_px, batch_norm_moves=self.options.batch_norm == "moves")
        this = Epoch(epoch, epochs, len(self.batches), np.random.default_rng(mixing))
        try:
            return self.steps.over(landed(batches, self.precision.device), this)
        except OddStepError as error:
            self._refuse(error.met, error.found, error.phase)

    def _prepare(self, done: float, size_px: int | None, *, batch_norm_moves: bool) -> None:
        """Let learn what does when this share of training is done, from views of this side."""
        stages = trainable_stages(self.model, self.options, done)
        set_trainable(self.model, self.options, stages)
        set_training_mode(self.model, stages, batch_norm_moves=batch_norm_moves)
        if self.precision.device.type == "cuda":
            views = views_like(self._example, self.batches.size, size_px)
            compiles = compiling_pays(self.options, self.progress.epochs * len(self.batches))
            self.gradients.prepare(views, stages, compiles=compiles)

    @cached_property
    def _example(self) -> torch.Tensor:
        return self.batches.example()

    def _tell_device(self) -> None:
        if self.precision.device.type == "cuda":
            log.info("    %s trains in %s", self.name, self.precision.told())
        elif self.options.compile == "always":
            log.info("    %s: nothing is compiled, for there is no CUDA device", self.name)

    def _validate(self) -> dict[str, float]:
        """Score the state that would be kept, then put the moving weights back."""
        if not self.steps.average:
            return self._score()
        own = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.steps.state)
        validated = self._score()
        self.model.load_state_dict(own)
        return validated

    def _score(self) -> dict[str, float]:
        try:
            with self.precision.around(self.model):
                return self.validation.score(self.model)
        except OddOutputsError as error:
            met = Met(error.batch, None, self.progress.epoch, error.number, torch.get_rng_state())
            self._refuse(met, "outputs that are not finite", "validation", error.images)

    def _time_epoch(self) -> float:
        """The seconds of an epoch, by those of a few steps that are not kept."""
        step_s = self._time_steps()
        validation_s = step_s * len(self.validation) / (3 * self.batches.size)
        return step_s * len(self.batches) + validation_s

    def _time_steps(self, count: int = 4) -> float:
        self._prepare(1.0, None, batch_norm_moves=False)
        times = []
        started = time.perf_counter()
        for number, batch in enumerate(landed(self.batches.epoch(0), self.precision.device)):
            self.gradients.add(batch, None)
            times.append(time.perf_counter() - started)
            started = time.perf_counter()
            if number + 1 == count:
                break
        self.steps.optimizer.zero_grad(set_to_none=True)
        self.model.load_state_dict(self.start)
        return 1.1 * float(np.median(times[1:] or times))

    def _refuse(self, met: Met, what: str, phase: Phase, images: Sequence[str] = ()) -> NoReturn:
        """Stop, and leave the batch to be met again beside the checkpoint."""
        facts = {
            "name": self.name,
            "epochs": self.progress.epochs,
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
        after = digest_state({n: t for n, t in self.progress.best.items() if n not in self.moving})
        if before != after:
            raise TrainingError(f"{self.name}: a frozen tensor moved", found=after, allowed=before)
        count = len(self.start) - len(self.moving)
        return {"tensors": count, "before": before, "after": after}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {"best": self.progress.best}
        if not self.progress.done:  # the rest is only needed to go on
            tensors |= self.steps.tensors()
        facts: dict[str, Any] = {
            "digest": self.digest,
            **self.progress.facts(),
            "steps": self.steps.taken,
            "images_at_once": self.gradients.at_once.size,
        }
        Checkpoint(tensors, facts).save(self.checkpoint)

    def _resume(self) -> None:
        found = last_checkpoint(self.checkpoint, self.digest) if self.checkpoint else None
        if found is None:
            return
        self.progress.resume(found)
        if not self.progress.done:
            self.gradients.at_once.size = found.facts["images_at_once"]
            self.steps.resume(found)
