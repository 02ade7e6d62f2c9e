"""The step: from a batch to moved weights, or to a refusal before anything has moved."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from graft.vision.errors import TrainingError
from graft.vision.model import first_names
from graft.vision.training.averaging import MovingAverage
from graft.vision.training.batches import Batch
from graft.vision.training.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from graft.vision.training.findings import Finding, Findings
from graft.vision.training.gradients import Added, Gradients
from graft.vision.training.mixing import mix_views
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.refused import Met, Phase
from graft.vision.training.schedule import rate_at
from graft.vision.training.strategies import parameter_groups

SKIP = ("cpu", "cuda")
"""Devices whose fused optimisers leave out a step when told that something was not finite, as they
do for scaled gradients: nobody waits to be told."""
FOUND: dict[str, tuple[str, Phase]] = {
    "loss": ("a loss of {}", "training"),
    "norm": ("a gradient norm of {}", "training"),
    "weights": ("weights that are not finite", "step"),
}
"""How what is not finite is told, and the phase in which it was met."""


class OddStepError(TrainingError):
    """What came of a batch is not finite.

    Attributes:
        found: what that is, in words, and the ``phase`` in which it was met.
    """

    def __init__(self, met: Met, found: str, phase: Phase) -> None:
        self.met, self.found, self.phase = met, found, phase
        super().__init__(f"{met} gave {found}", found=f"images {first_names(met.batch.ids)}")


@dataclass(frozen=True)
class Epoch:
    """One of ``epochs`` of so many ``batches``: ``number`` counts from 0, ``mixing`` draws."""

    number: int
    epochs: int
    batches: int
    mixing: np.random.Generator


class Steps:
    """Moves the weights of a model, batch by batch.

    Args:
        start: the model's state as the training began.
        moving: names of the tensors that can differ from the start.

    Attributes:
        average: of the weights, where it is what is validated and kept.
        losses: of the batches of an epoch, as far as they were read.
        reads_late: whether what a step found is read only once the next one is under way, so that
            a GPU never waits for the CPU. What is not finite moves no weight either way: the
            optimiser itself is told, on the device.
        taken: steps of the optimiser.
    """

    def __init__(
        self,
        gradients: Gradients,
        options: FineTuningOptions,
        start: Mapping[str, torch.Tensor],
        moving: Collection[str],
    ) -> None:
        self.gradients, self.options, self.start = gradients, options, start
        self.model, self.device = gradients.model, gradients.precision.device
        self.names: dict[torch.Tensor, str] = {
            parameter: name for name, parameter in self.model.named_parameters()
        }
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, options), fused=True)
        decay = options.ema_decay
        self.average = MovingAverage(self.model, decay, moving) if decay else None
        self.findings, self.losses = Findings(self.device), list[float]()
        self.reads_late = self.device.type == "cuda"
        self.taken = 0
        state = self.model.state_dict()
        self._floating = [state[n] for n in sorted(moving) if state[n].is_floating_point()]

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """What is validated and kept: the weights, or their average."""
        return self.average.state if self.average else self.model.state_dict()

    def over(self, batches: Iterable[Batch], epoch: Epoch) -> Sequence[float]:
        """Step from batch to batch of an epoch; returns the loss of each.

        Raises:
            OddStepError: when a loss, a gradient or a weight is not finite.
            ResourceError: as `Gradients.start`.
        """
        self.losses = []
        for number, batch in enumerate(batches):
            self.step(batch, number, epoch)
        self._settle(None)
        return self.losses

    def step(self, batch: Batch, number: int, epoch: Epoch) -> None:
        """The batch of this number, from 0; weights move once gradients enough are gathered."""
        each = self.options.accumulate
        self._set_rates(number, epoch)
        mix = mix_views(batch.views, self.options, epoch.mixing)
        met = Met(batch, mix, epoch.number, number, torch.get_rng_state())
        gathered = min(each, epoch.batches - number // each * each)
        added = self.gradients.start(batch, mix, gathered)
        if self.reads_late:
            self._settle(added)
        self.findings.note(Finding("loss", added.loss, met, added))
        if (number + 1) % each == 0 or number + 1 == epoch.batches:
            self._move(met, added)
        if self.reads_late:
            self.findings.send()
        else:
            self._settle_now(added)

    def _set_rates(self, number: int, epoch: Epoch) -> None:
        steps = math.ceil(epoch.batches / self.options.accumulate)
        step = epoch.number * steps + number // self.options.accumulate
        factor = rate_at(step, epoch.epochs * steps, self.options.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor

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
                raise OddStepError(finding.met, said.format(value), phase)
            if finding.kind == "loss":
                self.losses.append(value)

    def _move(self, met: Met, added: Added) -> None:
        """One step of the optimiser, unless something noted is not finite: then nothing moves."""
        moving = [p for g in self.optimizer.param_groups for p in g["params"] if p.grad is not None]
        limit = self.options.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(moving, limit)
        self.findings.note(Finding("norm", norm, met, added))
        if self.device.type in SKIP:
            self.optimizer.found_inf = self.findings.is_odd()  # type: ignore[attr-defined]
        else:
            self._settle_now(added)
        self.optimizer.step()
        if self.options.l2_sp:  # which nothing would hold back
            self._settle_now(added)
            self._pull()
        # A step itself may overflow, of which no gradient tells.
        self.findings.note(Finding("weights", self._largest(), met, added))
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1
        if self.average:
            self.average.update(self.model)

    @torch.no_grad()
    def _largest(self) -> torch.Tensor:
        """The largest magnitude of a moving weight. One kernel asks all of them on a GPU; on a CPU
        that takes four times as long as to ask each."""
        if self.device.type == "cpu":
            return torch.stack([weight.abs().amax() for weight in self._floating]).max()
        return torch.stack(torch._foreach_norm(self._floating, ord=math.inf)).max()

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

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """The parts of a checkpoint that all further steps stand on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state if self.average else {},
            "optimizer": optimizer_tensors(self.optimizer, self.names),
        }

    def resume(self, found: Checkpoint) -> None:
        """Go on from a checkpoint with these parts and the fact ``steps``."""
        self.taken = found.facts["steps"]
        self.model.load_state_dict(found.tensors["model"])
        if self.average:
            kept = {name: t.to(self.device) for name, t in found.tensors["average"].items()}
            self.average.state, self.average.steps = kept, self.taken
        restore_optimizer(self.optimizer, self.names, found.tensors["optimizer"])
