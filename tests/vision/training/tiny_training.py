"""Trainings on the drawn case, with whatever a test wants to change in them."""

from collections.abc import Callable
from pathlib import Path

import torch

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel
from graft.vision.records import Array
from graft.vision.task import LossOptions, Task
from graft.vision.training.batches import TrainingBatches, augmented_samples
from graft.vision.training.loop import Trained, Training
from graft.vision.training.options import FineTuningOptions

State = dict[str, torch.Tensor]
PLAIN = {"strategy": "full", "epochs": 1, "batch_size": 8, "ema_decay": None, "warmup_share": 0.0}
"""Without average and warm-up, which would blur what a test looks at."""


def options_of(**changes: object) -> FineTuningOptions:
    return FineTuningOptions.parse({**PLAIN, **changes}, "test")


def batches_of(
    ground: Ground, options: FineTuningOptions, balance: Array | None = None, seed: int = 0
) -> TrainingBatches:
    rows = ground.split("train")
    return TrainingBatches(
        list(rows["id"]),
        augmented_samples(
            rows, ground.truths(rows), ground.pixels, Augmenter(ground.policy, ground.task, seed)
        ),
        options.batch_size,
        seed,
        options.workers,
        balance,
    )


def new_training(
    ground: Ground,
    checkpoint: Path | None = None,
    *,
    model: GraftedModel | None = None,
    task: Task | None = None,
    loss_options: LossOptions | None = None,
    after_epoch: Callable[[dict[str, float]], None] | None = None,
    seed: int = 0,
    **options: object,
) -> Training:
    chosen = options_of(**options)
    return Training(
        "tiny",
        task or ground.task,
        ground.classes,
        model or ground.new_model(),
        batches_of(ground, chosen, seed=seed),
        ground.validation(),
        loss_options or LossOptions(),
        chosen,
        seed,
        "the digest of this training",
        checkpoint,
        after_epoch,
    )


def state_of(model: torch.nn.Module) -> State:
    """A copy of all tensors."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def differing(one: State, other: State) -> set[str]:
    """Names of the tensors that are not bit for bit equal."""
    return {name for name in one | other if not torch.equal(one[name], other[name])}


def history_of(trained: Trained) -> list[dict[str, float]]:
    """What of the history does not depend on the clock."""
    return trained.history.drop(columns=["seconds", "images_per_s"]).to_dict("records")
