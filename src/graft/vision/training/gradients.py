"""The gradients of a batch: of the whole, or of parts of it where memory does not hold the whole.

In parts, each part's forward pass keeps its outputs alone and runs again on the way back
(Chen et al., 2016). The loss is that of the whole batch over all outputs: whatever it normalises by
stays what it was, and so do the gradients, but for BatchNorm that learns from each batch.
"""

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from graft.vision.errors import ResourceError
from graft.vision.memory import AtOnce, is_out_of_memory
from graft.vision.model import Learner
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch
from graft.vision.training.captured import Captured, capture
from graft.vision.training.chance import Chance
from graft.vision.training.mixing import Mix
from graft.vision.training.norms import kept_statistics, learning_norms, put_back
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision


@dataclass(frozen=True)
class Added:
    """Gradients that are added, or will be once the device comes to it.

    ``loss`` is a scalar: to read it is to wait for the device. ``undo``: then nothing was added,
    and no statistic has moved.
    """

    loss: torch.Tensor
    undo: Callable[[], None]


class Gradients:
    """Adds the gradients of batches to those of a model.

    Attributes:
        at_once: images of a batch that are computed at once; fewer once memory ran out.
        captured: both passes as CUDA graphs, where `prepare` found that they hold.
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
        self.captured: Captured | None = None
        self._captured_for: object = None
        self._accumulates = options.accumulate > 1
        self._divides_batch_norm = options.divide_batch_norm

    def prepare(self, views: torch.Tensor, learning: object, *, compiles: bool) -> None:
        """Make ready for batches of such (N, ...) views, as long as ``learning`` is what learns.

        On a GPU both passes are captured as graphs where these hold. Gradients of several batches
        cannot be gathered from graphs, which write theirs anew each time.
        """
        wanted = (views.shape, learning, len(learning_norms(self.model)))
        if self.precision.device.type != "cuda" or self._captured_for == wanted:
            return
        self.release()
        self._captured_for = wanted
        if not self._accumulates and len(views) <= self.at_once.size:
            on_device = self.precision.put(views)
            self.captured = capture(
                self.at_once.name, self.model, self.precision, on_device, compiles=compiles
            )

    def release(self) -> None:
        """Let go of graphs, and of the memory that is theirs alone; the plain passes go on."""
        if self.captured is not None:
            self.captured = None
            gc.collect()  # torch ties them in rings

    def add(self, batch: Batch, mix: Mix | None, gathered: int = 1) -> float:
        """Add the gradients of a batch that is one of ``gathered``; returns its loss.

        Where that is not finite nothing is added, and no statistic has moved. Raises as `start`.
        """
        added = self.start(batch, mix, gathered)
        value = float(added.loss)
        if not math.isfinite(value):
            added.undo()
        return value

    def start(self, batch: Batch, mix: Mix | None, gathered: int = 1) -> Added:
        """Begin to add the gradients of a batch, and do not wait for a device that takes its time.

        Raises:
            ResourceError: where memory does not hold one image, or parts of a batch would be
                other mathematics.
        """
        undo, chance = self._undoing(), Chance(self.precision.device)
        while True:
            try:
                return Added(self._try(batch, mix, gathered), undo)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                found = str(error)
            # After the handler, for its traceback holds what memory is short of.
            undo()
            chance.put_back()
            self._take_less(found, len(batch.ids))

    def _undoing(self) -> Callable[[], None]:
        """Puts gradients and statistics back to what they are now."""
        statistics = kept_statistics(self.model)
        before = [(p, None if p.grad is None else p.grad.clone()) for p in self.model.parameters()]

        def undo() -> None:
            put_back(statistics)
            for parameter, gradient in before:
                parameter.grad = None if gradient is None else gradient.clone()

        return undo

    def _try(self, batch: Batch, mix: Mix | None, gathered: int) -> torch.Tensor:
        loss = self._loss(batch, mix)
        # A loss without gradients is an error, unless it is one that is refused anyway.
        if loss.requires_grad or math.isfinite(float(loss)):
            in_parts = len(batch.ids) > self.at_once.size
            moved = kept_statistics(self.model) if in_parts else []
            self.precision.backward(loss / gathered)
            put_back(moved)  # the second run of each part moved them again
        return loss.detach()

    def _loss(self, batch: Batch, mix: Mix | None) -> torch.Tensor:
        views = self.precision.put(batch.views if mix is None else mix.views)
        if len(views) <= self.at_once.size:
            captured = self.captured
            run = captured.run if captured and captured.fits(views) else self.model
            with self.precision.around(self.model):
                return self._judged(run(views), batch, mix)
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
        self.release()
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
