"""How a model does on the validation split, during training."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from graft.vision.errors import TrainingError
from graft.vision.memory import AtOnce
from graft.vision.model import first_names, odd_names
from graft.vision.preprocessing import Frame
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch

CACHE_BYTES = 1 << 30
"""What the validation split's batches may take in memory to be kept."""
MOST = 1 << 20
"""Images at once, before memory has run out: batches are smaller."""


class OddOutputsError(TrainingError):
    """Outputs of validation images are not finite.

    Attributes:
        batch: which holds the images, and its ``number`` in the split, from 0.
        images: the ids of those whose outputs are not finite.
    """

    def __init__(self, batch: Batch, number: int, images: Sequence[str]) -> None:
        self.batch, self.number, self.images = batch, number, images
        super().__init__(
            "the outputs of validation images are not finite",
            found=first_names(images),
            mend="look at these images, or lower the learning rate; the last checkpoint is whole",
        )


@dataclass
class Validation:
    """Scores a model on the plain views, or stored features, of a split.

    Attributes:
        words: the truth of each image in the words of predictions; of a tiled image, what its
            view shows of it.
        frames: how the one view of each image lies in its original.
        batches: makes the split's batches anew, in the order of words and frames.
    """

    task: Task
    classes: ClassTable
    words: Sequence[str]
    frames: Sequence[Frame]
    batches: Callable[[], Iterable[Batch]]
    at_once: AtOnce = field(default_factory=lambda: AtOnce("validation", MOST), init=False)
    _kept: list[Batch] | None = field(default=None, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.words)

    def score(self, model: nn.Module) -> dict[str, float]:
        """``loss`` and ``score`` (the primary metric); NaN when undefined or the split is empty.

        Raises:
            OddOutputsError: where outputs are not finite, though the weights may be.
            ResourceError: where memory does not hold one image.
        """
        if not self.words:
            return {"loss": float("nan"), "score": float("nan")}
        model.eval()
        device = next(model.parameters()).device
        outputs, losses = [], 0.0

        def compute(views: torch.Tensor) -> torch.Tensor:
            said: torch.Tensor = model(views.to(device)).float().cpu()
            return said

        with torch.inference_mode():
            for number, batch in enumerate(self._batches()):
                found = self.at_once.computed(compute, batch.views)
                if odd := odd_names(found, batch.ids):
                    raise OddOutputsError(batch, number, odd)
                loss = self.task.loss(found, batch.truths, self.classes, LossOptions())
                losses += float(loss) * len(batch.ids)
                outputs.append(found)
        table = self.task.predict(torch.cat(outputs), self.classes, 1.0, self.frames)
        table["truth"] = list(self.words)
        scores = self.task.new_metrics(table, self.classes).scores()
        return {"loss": losses / len(self.words), "score": scores[self.task.primary_metric]}

    def _batches(self) -> Iterable[Batch]:
        if self._kept is not None:
            return self._kept
        found: list[Batch] = []
        room = CACHE_BYTES
        for batch in self.batches():
            found.append(batch)
            room -= batch.bytes
            if room < 0:  # then each epoch makes them anew
                return self.batches()
        self._kept = found
        return found
