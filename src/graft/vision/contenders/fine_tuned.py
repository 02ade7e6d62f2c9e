"""The pre-trained model tuned on the case, and its control from scratch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.weights import digest_state
from graft.vision.contenders.frozen_outputs import store_frozen_outputs
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.parents import Parent, start_from_parent
from graft.vision.contenders.replaying import origin_of
from graft.vision.imports import code_digest
from graft.vision.model import GraftedModel, TrainedModel
from graft.vision.options import Options
from graft.vision.records import Array, Truth, digest_of
from graft.vision.task import LossOptions
from graft.vision.tasks import TASKS
from graft.vision.training.batches import MakeSample, TrainingBatches, augmented_samples
from graft.vision.training.loop import Trained, Training
from graft.vision.training.mixing import check_mixing
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.sizes import check_sizes
from graft.vision.training.validation import Validation

HEAD_FROM_PROBE = ("lp_ft", "probe", "gradual", "norm_and_bias")


def train_fine_tuned(
    ground: Ground,
    probe: TrainedModel,
    checkpoint_folder: Path,
    options: FineTuningOptions,
    parent: Parent | None = None,
) -> tuple[TrainedModel, pd.DataFrame]:
    """Tune the case's backbone, or a parent; without one most strategies start from the probe's
    head.

    Returns the model with its card, and the history by epoch. Minutes count the probe where the
    model stands on it alone; those of a parent are its own. Raises as `start_from_parent`.
    """
    model = ground.new_model()
    before, facts = 0.0, dict[str, Any]()
    head = probe if options.strategy in HEAD_FROM_PROBE else None
    if parent is not None:
        facts["parent"] = start_from_parent(ground, model, head, parent)
    elif head is not None:
        before = head.card.minutes
        model.head.load_state_dict(head.module.head.state_dict())
    trained = run_training("fine_tuned", ground, model, checkpoint_folder, options)
    return _finish("fine_tuned", ground, model, trained, options, before, facts)


def train_scratch(
    ground: Ground, checkpoint_folder: Path, options: FineTuningOptions
) -> tuple[TrainedModel, pd.DataFrame]:
    """Train the same architecture from random weights: what pre-training is worth here."""
    without = ground.backbone.model_copy(update={"weights": "none"})
    model = ground.new_model(without)
    trained = run_training("scratch", ground, model, checkpoint_folder, options)
    return _finish("scratch", ground, model, trained, options)


def run_training(
    name: str, ground: Ground, model: GraftedModel, folder: Path, options: FineTuningOptions
) -> Trained:
    """Train on the ground's train split, watched on its val split; resumes where it stopped."""
    train = ground.split("train")
    truths = ground.truths(train)
    check_mixing(options, truths[0])
    check_sizes(options, truths[0], model, ground.preprocessing.size_px)
    digest = training_digest(name, ground, model, options)
    balance = _sampling_weights(truths) if options.class_balance == "sampling" else None
    learner, make, validation = _fed(ground, model, folder, options, train, truths)
    batches = TrainingBatches(
        list(train["id"]), make, options.batch_size, ground.seed, options.workers, balance
    )
    weights = _class_weights(truths) if options.class_balance == "weights" else None
    loss_options = LossOptions(label_smoothing=options.label_smoothing, class_weights=weights)
    return Training(
        name,
        ground.task,
        ground.classes,
        learner,
        batches,
        validation,
        loss_options,
        options,
        ground.seed,
        digest,
        folder / f"{name}-{digest[:16]}.safetensors",
        origin=origin_of(ground, learner),
    ).run()


def _fed(
    ground: Ground,
    model: GraftedModel,
    folder: Path,
    options: FineTuningOptions,
    train: pd.DataFrame,
    truths: Sequence[Truth],
) -> tuple[GraftedModel, MakeSample, Validation]:
    """What is trained, and what it is fed with: views, or what frozen stages gave of them."""
    if not options.stored_views:
        augmenter = Augmenter(ground.policy, ground.task, ground.seed)
        make = augmented_samples(train, truths, ground.pixels, augmenter)
        return model, make, ground.validation()
    stored = store_frozen_outputs(ground, model, folder, options)
    return stored.model, stored.sample, ground.validation(stored.validation)


def watch_overfitting(history: pd.DataFrame, metric: str) -> list[str]:
    """Sentences that say where training and validation part.

    The validation loss tells; where a task has none (detectors), the validation score does.

    Args:
        metric: the primary metric, whose column is ``val_<metric>``.
    """
    score = f"val_{metric}"
    for column, is_loss in (("val_loss", True), (score, False)):
        values = history[column].to_numpy(float)
        if len(values) >= 3 and np.isfinite(values).all():
            return _parting(history["train_loss"].to_numpy(float), values, column, is_loss)
    return []


def _parting(training: Array, values: Array, column: str, is_loss: bool) -> list[str]:
    best = int(np.argmin(values) if is_loss else np.argmax(values))
    worse = values[-1] > 1.1 * values[best] if is_loss else values[-1] < 0.95 * values[best]
    if not worse or training[-1] >= training[best] or len(values) - 1 - best < 2:
        return []
    what = f"validation {'loss' if is_loss else column.removeprefix('val_')}"
    return [
        f"overfitting: after epoch {best + 1} the {what} {'rose' if is_loss else 'fell'} from "
        f"{values[best]:.3f} to {values[-1]:.3f} while the training loss fell; the weights of the "
        "best epoch are kept"
    ]


def _finish(
    name: str,
    ground: Ground,
    model: GraftedModel,
    trained: Trained,
    options: FineTuningOptions,
    before: float = 0.0,
    more: Mapping[str, Any] | None = None,
) -> tuple[TrainedModel, pd.DataFrame]:
    facts: dict[str, Any] = {
        "epochs_planned": options.epochs,
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch + 1,
        "frozen": trained.frozen,
        "overfitting": watch_overfitting(trained.history, ground.task.primary_metric),
        "options": options.model_dump(mode="json"),
        "policy_sha256": digest_of(ground.policy),
        "machine": trained.machines[-1],
        **({"machines_before": trained.machines[:-1]} if trained.machines[1:] else {}),
        **(more or {}),
    }
    minutes = before + trained.seconds / 60  # with the probe that it starts from
    return ground.finish(name, model, options.strategy, minutes, facts), trained.history


def training_digest(name: str, ground: Ground, model: GraftedModel, options: Options) -> str:
    """Identifies a training by everything that shapes its result, the code that trains too."""
    return digest_of(
        {
            "name": name,
            "code": code_digest(__name__, TASKS[ground.task.name]),
            "data": ground.data_digest,
            "splits": digest_of(sorted(zip(ground.rows["id"], ground.rows["split"], strict=True))),
            "classes": ground.classes.model_dump(mode="json"),
            "task": ground.task_options.model_dump(mode="json"),
            "policy": ground.policy,
            "view": ground.preprocessing.digest,
            "decoding": ground.pixels.options.digest,
            "start": digest_state(dict(model.state_dict())),
            "options": options.model_dump(mode="json"),
            "seed": ground.seed,
        }
    )


def _class_counts(truths: Sequence[Truth]) -> Array:
    return np.maximum(np.stack([truth["targets"] for truth in truths]).sum(axis=0), 1)


def _class_weights(truths: Sequence[Truth]) -> tuple[float, ...]:
    """Inverse to the class's images, one on average over the images."""
    counts = _class_counts(truths)
    weights = counts.sum() / (len(counts) * counts)
    return tuple(float(weight) for weight in weights)


def _sampling_weights(truths: Sequence[Truth]) -> Array:
    """An image is drawn by its rarest class, so that all classes are met equally often."""
    rarity = 1 / _class_counts(truths)
    weights = np.array([(truth["targets"] * rarity).max() for truth in truths])
    return weights / weights.sum()
