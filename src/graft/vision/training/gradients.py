"""The gradients of a batch: of the whole, or of parts of it where memory does not hold the whole.

In parts, each part's forward pass keeps its outputs alone and runs again on the way back
(Chen et al., 2016). The loss is that of the whole batch over all outputs: whatever it normalises by
stays what it was, and so do the gradients, but for BatchNorm that learns from each batch.
"""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from graft.vision.errors import ResourceError
from graft.vision.memory import AtOnce, is_out_of_memory
from graft.vision.model import Learner
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch
from graft.vision.training.mixing import Mix
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Tensors, and what they held."""


class Gradients:
    """Adds the gradients of batches to those of a model.

    ``at_once``: images of a batch that are computed at once; fewer once memory ran out.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        classes: ClassTable,
        model: Learner,
        precision: Precision,
        loss_options: LossOptions,
        options: FineTuningOptions,
    ) -> None:
        self.task, self.classes, self.loss_options = task, classes, loss_options
        self.model, self.precision = model, precision
        self.at_once = AtOnce(name, options.batch_size)
        self._divides_batch_norm = options.divide_batch_norm

    def add(self, batch: Batch, mix: Mix | None, gathered: int = 1) -> float:
        """Add the gradients of a batch that is one of ``gathered``; returns its loss.

        Where that is not finite nothing is added, and no statistic has moved.

        Raises:
            ResourceError: where memory does not hold one image, or parts of a batch would be
                other mathematics.
        """
        statistics, chance = _kept(_statistics(self.model)), torch.get_rng_state()
        before = [(p, None if p.grad is None else p.grad.clone()) for p in self.model.parameters()]
        while True:
            try:
                value = self._try(batch, mix, gathered)
                if not math.isfinite(value):
                    _put_back(statistics)
                return value
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                found = str(error)
            # After the handler, for its traceback holds what memory is short of.
            for parameter, gradient in before:
                parameter.grad = None if gradient is None else gradient.clone()
            _put_back(statistics)
            torch.set_rng_state(chance)
            self._take_less(found, len(batch.ids))

    def _try(self, batch: Batch, mix: Mix | None, gathered: int) -> float:
        loss = self._loss(batch, mix)
        value = float(loss.detach())
        if math.isfinite(value):
            in_parts = len(batch.ids) > self.at_once.size
            moved = _kept(_statistics(self.model)) if in_parts else []
            self.precision.backward(loss / gathered)
            _put_back(moved)  # the second run of each part moved them again
        return value

    def _loss(self, batch: Batch, mix: Mix | None) -> torch.Tensor:
        views = self.precision.put(batch.views if mix is None else mix.views)
        if len(views) <= self.at_once.size:
            with self.precision.around(self.model):
                return self._judged(self.model(views), batch, mix)
        parts = views.split(self.at_once.size)
        outputs = joined([checkpoint(self._forward, part, use_reentrant=False) for part in parts])
        with self.precision.around(self.model):
            return self._judged(outputs, batch, mix)

    def _forward(self, views: torch.Tensor) -> Any:
        with self.precision.around(self.model):
            return self.model(views)

    def _judged(self, outputs: Any, batch: Batch, mix: Mix | None) -> torch.Tensor:
        loss = self.task.loss(outputs, batch.truths, self.classes, self.loss_options)
        if mix is None:
            return loss
        partners = [batch.truths[i] for i in mix.partner]
        other = self.task.loss(outputs, partners, self.classes, self.loss_options)
        return mix.share * loss + (1 - mix.share) * other

    def _take_less(self, found: str, images: int) -> None:
        self.at_once.size = min(self.at_once.size, images)
        moving = [name for name, norm in learning_norms(self.model)]
        if moving and self.at_once.size > 1 and not self._divides_batch_norm:
            raise ResourceError(
                f"{self.at_once.name}: memory does not hold a batch, and BatchNorm learns from it: "
                f"parts have other statistics, which is other mathematics",
                found=f"{images} images, {found.partition(chr(10))[0][:80]}; {moving[0]}",
                mend="lower batch_size, raise accumulate by as much; or allow parts by "
                "divide_batch_norm: true",
            )
        self.at_once.halve(found)


def joined(parts: Sequence[Any]) -> Any:
    """What a model gave of the parts of a batch, as it gives it of the whole.

    Tensors are laid end to end, also those in lists and in dataclasses; the rest is the first's.
    """
    first = parts[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, list | tuple):
        return type(first)(joined(each) for each in zip(*parts, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in fields(first)]
        return replace(first, **{n: joined([getattr(p, n) for p in parts]) for n in names})
    return first


def learning_norms(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """BatchNorm that learns from each batch, by name."""
    kind = nn.modules.batchnorm._BatchNorm
    return [(n, m) for n, m in model.named_modules() if isinstance(m, kind) and m.training]


def _statistics(model: nn.Module) -> list[torch.Tensor]:
    return [buffer for _, norm in learning_norms(model) for buffer in norm.buffers(recurse=False)]


def _kept(tensors: Sequence[torch.Tensor]) -> Kept:
    return [(tensor, tensor.detach().clone()) for tensor in tensors]


@torch.no_grad()
def _put_back(kept: Kept) -> None:
    for tensor, value in kept:
        tensor.copy_(value)
