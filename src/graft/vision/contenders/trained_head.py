"""The probe of a dense task: its head, trained on the frozen backbone's stored maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.fine_tuned import training_digest
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.replaying import origin_of
from graft.vision.features.extraction import FrozenFeatures
from graft.vision.features.options import ProbingOptions
from graft.vision.model import GraftedModel, HeadOnFeatures, as_tensor
from graft.vision.records import Array, Truth, named_rows
from graft.vision.task import LossOptions
from graft.vision.training.batches import Batch, MakeSample, TrainingBatches
from graft.vision.training.loop import Training
from graft.vision.training.options import FineTuningOptions


def train_head(
    ground: Ground,
    features: FrozenFeatures,
    model: GraftedModel,
    checkpoint_folder: Path,
    options: ProbingOptions,
) -> dict[str, Any]:
    """Train ``model.head`` in place by the loop that trains whole models; returns a report.

    Each epoch sees one stored view of each training image: the plain one, or the augmented ones
    in turn.
    """
    training = FineTuningOptions(
        strategy="probe",
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        divide_batch_norm=options.divide_batch_norm,
    )
    digest = training_digest("probe", ground, model, options)
    rows = features.table[features.table["split"] == "train"]
    plain = rows[rows["view"] == 0].reset_index(drop=True)
    trained = Training(
        "probe",
        ground.task,
        ground.classes,
        HeadOnFeatures(model, ground.preprocessing.size_px),
        TrainingBatches(
            list(plain["id"]),
            _samples(ground, features, rows),
            training.batch_size,
            ground.seed,
            training.workers,
        ),
        ground.validation(lambda: _validation_batches(ground, features)),
        LossOptions(),
        training,
        ground.seed,
        digest,
        checkpoint_folder / f"probe-{digest[:16]}.safetensors",
        origin=origin_of(ground, model, features=True),
    ).run()
    metric = f"val_{ground.task.primary_metric}"
    best = trained.history[metric].iloc[trained.best_epoch]
    return {
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch + 1,
        metric: float(best) if pd.notna(best) else "n/a",
        "training_images": len(plain),
        "minutes": trained.seconds / 60,
    }


def _samples(ground: Ground, features: FrozenFeatures, rows: pd.DataFrame) -> MakeSample:
    """Stored maps by place and epoch, with the truth that lies in the view they were made of."""
    views = sorted(set(rows["view"].astype(int)))
    by_view = {view: list(named_rows(rows[rows["view"] == view])) for view in views}
    split = ground.split("train")
    truths = dict(zip(split["id"], range(len(split)), strict=True))
    said = ground.truths(split)
    drawn = Augmenter(ground.policy, ground.task, ground.seed)

    def make(place: int, epoch: int) -> tuple[Array, Truth]:
        view = views[epoch % len(views)]
        row = by_view[view][place]
        pixels, truth = ground.pixels.read(row.sha256), said[truths[row.id]]
        # As `extract_frozen_features` drew it: view 1, 2, ... are epochs -1, -2, ...
        augmenter = drawn if view else ground.plain
        return features.read(row), augmenter(pixels, truth, -view, row.id)[1]

    return make


def _validation_batches(ground: Ground, features: FrozenFeatures) -> Iterator[Batch]:
    table = features.table[(features.table["split"] == "val") & (features.table["view"] == 0)]
    rows = dict(zip(table["id"], named_rows(table), strict=True))
    for batch in ground.plain_batches(ground.split("val")):
        stored = [features.read(rows[name]) for name in batch.ids]
        yield Batch(as_tensor(stored), batch.truths, batch.ids)
