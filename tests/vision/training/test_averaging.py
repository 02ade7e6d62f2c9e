"""The moving average of weights: the plain recursion, and what is kept at the end."""

import pytest
import torch
from tiny_training import State, differing, new_training, state_of
from torch import nn

from graft.vision.contenders.ground import Ground
from graft.vision.training.averaging import MovingAverage


def test_average__is_the_recursion_with_a_decay_that_grows() -> None:
    layer = nn.BatchNorm1d(1)
    average, wanted = MovingAverage(layer, 0.5), 1.0
    for step in range(1, 30):
        with torch.no_grad():
            layer.weight.fill_(step)
        layer.num_batches_tracked.fill_(step)
        average.update(layer)
        decay = min(0.5, step / (step + 9))
        wanted = decay * wanted + (1 - decay) * step
        assert average.state["weight"].item() == pytest.approx(wanted, rel=1e-5)
        assert average.state["num_batches_tracked"].item() == step


def test_average__of_what_does_not_move_stays_bit_for_bit() -> None:
    layer = nn.Linear(7, 5)
    start, average = state_of(layer), MovingAverage(layer, 0.9)
    for _ in range(20):
        average.update(layer)
    assert differing(start, average.state) == set()


def test_training__keeps_the_average_and_goes_on_from_the_weights(ground: Ground) -> None:
    model, after = ground.new_model(), list[State]()
    training = new_training(
        ground, model=model, ema_decay=0.9, after_epoch=lambda row: after.append(state_of(model))
    )
    kept = state_of(training.run().model)
    assert training.steps.average is not None
    assert differing(kept, training.steps.average.state) == set()
    assert "head.weight" in differing(kept, after[-1])
    plain = new_training(ground).run()
    assert differing(state_of(plain.model), after[-1]) == set()
