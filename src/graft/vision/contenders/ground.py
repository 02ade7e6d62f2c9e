"""What all contenders of a case stand on: the same task, data, view, policy and seed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.options import BackboneOptions
from graft.vision.data.masks import open_masks
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.shown_truths import words_shown
from graft.vision.data.truths import truth_in_words
from graft.vision.errors import TrainingError
from graft.vision.model import GraftedModel, ModelCard, TrainedModel
from graft.vision.options import TaskOptions
from graft.vision.preprocessing import Frame, Preprocessing, frame_of
from graft.vision.records import MaskReader, Truth, data_digest, named_rows
from graft.vision.runtime import machine_record
from graft.vision.task import ClassTable, Task
from graft.vision.tasks import choose_task
from graft.vision.tiles import frames_of
from graft.vision.training.batches import Batch, plain_batches
from graft.vision.training.validation import Validation


@dataclass(frozen=True)
class Ground:
    """Everything that must be equal for contenders to be compared."""

    task: Task
    task_options: TaskOptions
    classes: ClassTable
    rows: pd.DataFrame
    pixels: PixelStore
    masks: MaskReader
    backbone: BackboneOptions
    preprocessing: Preprocessing
    policy: dict[str, Any]
    seed: int

    def split(self, *names: str) -> pd.DataFrame:
        """The rows of these splits, in the order of the split manifest."""
        return self.rows[self.rows["split"].isin(names)].reset_index(drop=True)

    def truths(self, rows: pd.DataFrame) -> Sequence[Truth]:
        """What annotators said of these rows."""
        return self.task.read_truth(list(rows["truth"]), self.classes, self.masks)

    def words(self, rows: pd.DataFrame) -> list[str]:
        """The same in the words of predictions."""
        return [truth_in_words(text, self.masks) for text in rows["truth"]]

    def frames(self, rows: pd.DataFrame) -> list[Frame]:
        """How the views that a prediction takes of these rows lie in their upright originals."""
        return [
            frame
            for row in named_rows(rows)
            for frame in frames_of(self._shape(row), row.width, row.height, self.preprocessing)
        ]

    def plain_frames(self, rows: pd.DataFrame) -> list[Frame]:
        """The same of the one plain view of each row, which differs where images are tiled."""
        return [
            frame_of(self._shape(row), row.width, row.height, self.preprocessing)
            for row in named_rows(rows)
        ]

    def plain_words(self, rows: pd.DataFrame) -> list[str]:
        """Truths in the words of predictions; where images are tiled, what the plain view shows."""
        words = self.words(rows)
        if self.preprocessing.fit != "tiles":
            return words
        frames = self.plain_frames(rows)
        return [words_shown(text, frame) for text, frame in zip(words, frames, strict=True)]

    def _shape(self, row: Any) -> tuple[int, ...]:
        return self.pixels.read(row.sha256).shape

    @cached_property
    def plain(self) -> Augmenter:
        """The policy without chance: `view_of`, with the truth brought along."""
        policy = compose_policy(PolicyOptions(preset="none"), self.preprocessing, self.task)
        return Augmenter(policy, self.task, self.seed)

    def plain_batches(self, rows: pd.DataFrame, batch_size: int = 32) -> Iterator[Batch]:
        """The plain views of these rows with their truths, in order."""
        return plain_batches(rows, self.truths(rows), self.pixels, self.plain, batch_size)

    def validation(self, batches: Callable[[], Iterable[Batch]] | None = None) -> Validation:
        """What training is watched on: the val split, by its views unless batches are given."""
        val = self.split("val")
        return Validation(
            self.task,
            self.classes,
            self.plain_words(val),
            self.plain_frames(val),
            batches or (lambda: self.plain_batches(val)),
        )

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
        """Give a model its card; the machine is this one, unless the facts tell another.

        Raises `TrainingError` where a weight is not finite: such a model goes nowhere.
        """
        model.eval()
        odd = [n for n, t in model.state_dict().items() if not t.isfinite().all()]
        if odd:
            raise TrainingError(
                f"{contender}: {len(odd)} of its tensors are not finite",
                found=", ".join(odd[:3]),
                mend="lower the learning rate, or choose other weights to start from",
            )
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
            facts={"machine": machine_record(), **facts},
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
    preprocessing = Preprocessing.from_record(backbone_card["preprocessing"])
    taught = split_manifest.loc[split_manifest["split"] == "train", "truth"]
    return Ground(
        task=chosen,
        task_options=options.fitted_to(
            list(taught), preprocessing, ingestion.decoding.short_side_px
        ),
        classes=ClassTable.from_record(class_table),
        rows=split_manifest,
        pixels=PixelStore(pixel_folder, ingestion.decoding),
        masks=open_masks(pixel_folder),
        backbone=backbone,
        preprocessing=preprocessing,
        policy=augmentation_policy,
        seed=seed,
    )
