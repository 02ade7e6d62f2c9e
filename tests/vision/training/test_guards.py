"""What is not finite never reaches the weights, and the batch that gave it can be found again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import differing, new_training, state_of

from graft.vision.contenders.ground import Ground
from graft.vision.errors import TrainingError
from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions, Task

Spoil = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def not_a_number(loss: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    return loss * float("nan")


def infinite(loss: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    return loss + float("inf")


def gradient_alone(loss: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """A finite loss whose gradient is none: the root of nothing."""
    return loss + (0 * outputs).sum().sqrt()


def spoiled(task: Task, spoil: Spoil, at: int) -> Task:
    """The task, whose loss of one training batch (counted from 1) is spoiled."""
    count = 0

    def loss(
        outputs: torch.Tensor, truths: Sequence[Truth], classes: ClassTable, options: LossOptions
    ) -> torch.Tensor:
        nonlocal count
        count += 1
        plain = task.loss(outputs, truths, classes, options)
        return spoil(plain, outputs) if count == at else plain

    return replace(task, loss=loss)


# Three batches make an epoch: the fifth is the second of the second epoch.
@pytest.mark.parametrize("spoil", [not_a_number, infinite, gradient_alone])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_training__refuses_what_is_not_finite_and_keeps_all_that_is_sound(
    ground: Ground, tmp_path: Path, spoil: Spoil, ema_decay: float | None
) -> None:
    path, saved = tmp_path / "checkpoint.safetensors", []
    options = {"epochs": 3, "ema_decay": ema_decay, "batch_norm": "moves", "learning_rate": 5e-3}
    training = new_training(
        ground,
        path,
        task=spoiled(ground.task, spoil, at=5),
        after_epoch=lambda row: saved.append(path.read_bytes()),
        **options,
    )
    with pytest.raises(TrainingError, match=r"epoch 2, batch 2 gave a .*; nothing moved"):
        training.run()
    assert all(tensor.isfinite().all() for tensor in training.model.state_dict().values())
    assert saved == [path.read_bytes()]
    resumed, whole = new_training(ground, path, **options), new_training(ground, **options)
    assert differing(state_of(resumed.run().model), state_of(whole.run().model)) == set()


def test_refusal__comes_before_the_step(ground: Ground) -> None:
    model = ground.new_model()
    start = state_of(model)
    training = new_training(ground, model=model, task=spoiled(ground.task, not_a_number, at=1))
    with pytest.raises(TrainingError):
        training.run()
    assert differing(start, state_of(model)) == set()


def test_refusal__names_images_of_the_batch_that_the_seed_draws_again(ground: Ground) -> None:
    training = new_training(ground, epochs=2, task=spoiled(ground.task, infinite, at=5))
    with pytest.raises(TrainingError) as refusal:
        training.run()
    replayed = list(new_training(ground, epochs=2).batches.epoch(1))[1]
    assert f"images {', '.join(replayed.ids[:4])} and 4 more" in str(refusal.value)
    assert "next: look at these images, or lower the learning rate" in str(refusal.value)


@pytest.mark.parametrize("learning_rate", [1e3, 1e12, 1e30])
def test_training__at_an_absurd_rate_is_refused_with_finite_weights(
    ground: Ground, learning_rate: float
) -> None:
    training = new_training(
        ground, epochs=4, learning_rate=learning_rate, gradient_clip=None, batch_norm="frozen"
    )
    with pytest.raises(TrainingError, match=r"not finite|a loss of|a gradient norm of"):
        training.run()
    assert all(tensor.isfinite().all() for tensor in training.model.state_dict().values())


def test_training__says_when_a_frozen_tensor_moved(ground: Ground) -> None:
    training = new_training(ground, strategy="probe")

    def meddle(row: dict[str, float]) -> None:
        training.progress.best["backbone.model.conv_stem.weight"][0, 0, 0, 0] += 1

    training.after_epoch = meddle
    with pytest.raises(TrainingError, match="a frozen tensor moved"):
        training.run()
