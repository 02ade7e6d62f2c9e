"""The scores of an exported version, measured again from the predictions in its records."""

import math
from functools import cached_property
from typing import Any

from graft.adapters.export.reading import Exported
from graft.adapters.lineage import UNKNOWN
from graft.vision.evaluation.options import EvaluationOptions

PREDICTIONS = "test_predictions.parquet"
Score = dict[str, Any]


class Measured:
    """Scores over all test images, by class and by slice, as the recorded predictions give them.

    None where the predictions were not recorded, or where the recorded options are missing.
    """

    def __init__(self, exported: Exported) -> None:
        self._exported = exported

    @cached_property
    def predictions(self) -> Any:
        """What the model said of each test image."""
        return self._exported.table(PREDICTIONS)

    @cached_property
    def evaluation(self) -> EvaluationOptions | None:
        """How the run resampled."""
        said = self._exported.known("configuration")
        if said == UNKNOWN:
            return None
        block = said["parameters"].get(f"{self._exported.task}.evaluation")
        return None if block is None else EvaluationOptions.from_record(block)

    @cached_property
    def scores(self) -> dict[str, Score] | None:
        """Each score with its interval, resampled as the run did."""
        from graft.vision.evaluation.bootstrap import bootstrap_scores

        if self.predictions is None or self.evaluation is None:
            return None
        found = bootstrap_scores(self._metrics, list(self.predictions["unit"]), self.evaluation)
        first = self.primary
        return {first: found.pop(first), **found}

    @cached_property
    def by_class(self) -> list[dict[str, Any]]:
        """A row per class: its name, its test images, its scores; None where undefined."""
        if self.predictions is None:
            return []
        rows = self._metrics.per_class().to_dict("records")
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    @cached_property
    def by_slice(self) -> dict[str, float | None]:
        """The primary score of each slice that the rule of promotion names."""
        from graft.vision.promotion.floors import slices_of
        from graft.vision.promotion.options import PromotionOptions

        rules = [entry["rule"] for entry in self._exported.entries if entry["rule"].get("slices")]
        if self.predictions is None or not rules:
            return {}
        options = PromotionOptions.from_record(rules[-1])
        return {
            name: _plain(self._metrics.scores(rows)[self.primary])
            for name, rows in slices_of(self.predictions["id"], options)
        }

    @property
    def primary(self) -> str:
        """The name of the score that decides."""
        return str(self._task.primary_metric)

    @property
    def class_metric(self) -> str:
        """The name of the score that tells classes apart."""
        return str(self._task.class_metric)

    @cached_property
    def _task(self) -> Any:
        from graft.vision.tasks import choose_task

        return choose_task({"name": self._exported.task})[0]

    @cached_property
    def _metrics(self) -> Any:
        from graft.vision.task import ClassTable

        classes = ClassTable.from_record(self._exported.card["classes"])
        return self._task.new_metrics(self.predictions, classes)


def _plain(value: Any) -> Any:
    """A number as JSON has it, to six digits: what two machines agree on; None where undefined."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
