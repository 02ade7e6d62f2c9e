"""What all contenders of a case stand on: the same task, data, view, policy and seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from graft.vision.backbones.options import BackboneOptions
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.model import GraftedModel, ModelCard, TrainedModel
from graft.vision.options import Options
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Truth, data_digest
from graft.vision.runtime import machine_record
from graft.vision.task import ClassTable, Task
from graft.vision.tasks import choose_task


@dataclass(frozen=True)
class Ground:
    """Everything that must be equal for contenders to be compared."""

    task: Task
    task_options: Options
    classes: ClassTable
    rows: pd.DataFrame
    pixels: PixelStore
    backbone: BackboneOptions
    preprocessing: Preprocessing
    policy: dict[str, Any]
    seed: int

    def split(self, *names: str) -> pd.DataFrame:
        """The rows of these splits, in the order of the split manifest."""
        return self.rows[self.rows["split"].isin(names)].reset_index(drop=True)

    def truths(self, rows: pd.DataFrame) -> list[Truth]:
        """What annotators said of these rows."""
        return self.task.read_truth(list(rows["truth"]), self.classes)

    @cached_property
    def data_digest(self) -> str:
        """Over every byte and truth of what may be learned from: train and val."""
        return data_digest(self.split("train", "val"))

    def new_model(self, options: BackboneOptions | None = None) -> GraftedModel:
        """A backbone by these options (the case's own when None) with a new head."""
        from graft.vision.backbones.weights import load_backbone

        backbone = load_backbone(options or self.backbone, seed=self.seed)
        return self.task.build_model(backbone, self.classes, self.task_options)

    def finish(
        self,
        contender: str,
        model: GraftedModel,
        strategy: str,
        minutes: float,
        facts: Mapping[str, object],
    ) -> TrainedModel:
        """Give a model its card."""
        model.eval()
        card = ModelCard(
            task=self.task.name,
            contender=contender,
            classes=self.classes,
            task_options=self.task_options.model_dump(mode="json"),
            backbone=model.backbone.contract,
            preprocessing=self.preprocessing,
            decoding=self.pixels.options.model_dump(mode="json"),
            strategy=strategy,
            seed=self.seed,
            data_digest=self.data_digest,
            minutes=minutes,
            facts={**facts, "machine": machine_record()},
        )
        return TrainedModel(card, model, self.task)


def lay_ground(
    task: Mapping[str, Any],
    class_table: Mapping[str, Any],
    split_manifest: pd.DataFrame,
    pixel_folder: Path,
    ingestion: IngestionOptions,
    backbone: BackboneOptions,
    backbone_card: Mapping[str, Any],
    augmentation_policy: dict[str, Any],
    seed: int,
) -> Ground:
    """Gather what a case's contenders share from the records that pipelines hand over."""
    chosen, options = choose_task(task)
    return Ground(
        task=chosen,
        task_options=options,
        classes=ClassTable.from_record(class_table),
        rows=split_manifest,
        pixels=PixelStore(pixel_folder, ingestion.decoding),
        backbone=backbone,
        preprocessing=Preprocessing.from_record(backbone_card["preprocessing"]),
        policy=augmentation_policy,
        seed=seed,
    )
