"""The scores of an exported version, measured again from the predictions in its records."""

from functools import cached_property
from typing import Any

from graft.adapters.export.reading import Exported
from graft.adapters.lineage import UNKNOWN

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
    def scores(self) -> dict[str, Score] | None:
        """Each score with its interval, resampled as the run did."""
        from graft.vision.evaluation.bootstrap import bootstrap_scores
        from graft.vision.evaluation.options import EvaluationOptions

        said = self._parameters("evaluation")
        if self.predictions is None or said is None:
            return None
        options = EvaluationOptions.from_record(said)
        found = bootstrap_scores(self._metrics, list(self.predictions["unit"]), options)
        first = self.primary
        return {first: found.pop(first), **found}

    @cached_property
    def by_class(self) -> list[dict[str, Any]]:
        """A row per class: its name, its test images, its scores; None where undefined."""
        if self.predictions is None:
            return []
        return [_plain(row) for row in self._metrics.per_class().to_dict("records")]

    @cached_property
    def by_slice(self) -> dict[str, float | None]:
        """The primary score of each slice that the rule of promotion names."""
        from graft.vision.promotion.floors import slices_of
        from graft.vision.promotion.options import PromotionOptions

        rules = [entry["rule"] for entry in self._exported.entries if entry["rule"].get("slices")]
        if self.predictions is None or not rules:
            return {}
        options = PromotionOptions.from_record(rules[-1])
        found = {
            name: {"score": self._metrics.scores(rows)[self.primary]}
            for name, rows in slices_of(self.predictions["id"], options)
        }
        return {name: _plain(row)["score"] for name, row in found.items()}

    @property
    def primary(self) -> str:
        """The name of the score that decides."""
        return str(self._task.primary_metric)

    @cached_property
    def _task(self) -> Any:
        from graft.vision.tasks import choose_task

        return choose_task({"name": self._exported.task})[0]

    @cached_property
    def _metrics(self) -> Any:
        from graft.vision.task import ClassTable

        classes = ClassTable.from_record(self._exported.card["classes"])
        return self._task.new_metrics(self.predictions, classes)

    def _parameters(self, block: str) -> Any:
        said = self._exported.known("configuration")
        if said == UNKNOWN:
            return None
        return said["parameters"].get(f"{self._exported.task}.{block}")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as JSON has them, to six digits: what two machines agree on."""
    import math

    return {
        name: (float(f"{value:.6g}") if math.isfinite(value) else None)
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }
