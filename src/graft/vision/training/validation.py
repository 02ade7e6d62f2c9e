"""How a model does on the validation split, during training."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from graft.vision.data.pixels import PixelReader
from graft.vision.model import GraftedModel
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Truth, readable_truth
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch, plain_batches

CACHE_BYTES = 1 << 30
"""Views of the validation split are kept in memory up to this size."""


@dataclass
class Validation:
    """Scores a model on the plain views of a split."""

    task: Task
    classes: ClassTable
    rows: pd.DataFrame
    truths: Sequence[Truth]
    pixels: PixelReader
    preprocessing: Preprocessing
    batch_size: int = 32

    def __post_init__(self) -> None:
        view = self.preprocessing
        size = len(self.rows) * view.size_px**2 * view.channels
        self._kept: list[Batch] | None = list(self._batches()) if size <= CACHE_BYTES else None

    def score(self, model: GraftedModel) -> dict[str, float]:
        """``loss`` and ``score`` (the primary metric); NaN when the split is empty."""
        if self.rows.empty:
            return {"loss": float("nan"), "score": float("nan")}
        model.eval()
        device = next(model.parameters()).device
        with torch.inference_mode():
            outputs = torch.cat(
                [
                    model(batch.views.to(device)).float().cpu()
                    for batch in self._kept or self._batches()
                ]
            )
        loss = self.task.loss(outputs, self.truths, self.classes, LossOptions())
        table = self.task.predict(outputs, self.classes, 1.0)
        table["truth"] = [readable_truth(text) for text in self.rows["truth"]]
        scores = self.task.new_metrics(table, self.classes).scores()
        return {"loss": float(loss), "score": scores[self.task.primary_metric]}

    def _batches(self):  # type: ignore[no-untyped-def]
        return plain_batches(
            self.rows, self.truths, self.pixels, self.preprocessing, self.batch_size
        )
