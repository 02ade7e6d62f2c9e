"""An exponential moving average of weights (EMA): what is validated and kept."""

from collections.abc import Collection

import torch
from torch import nn


class MovingAverage:
    """Averages every floating-point tensor of a model's state; copies the others.

    The decay grows from 0.1 in the first steps, so that the average leaves its start quickly.
    """

    def __init__(
        self, model: nn.Module, decay: float, moving: Collection[str] | None = None
    ) -> None:
        """``moving``: names of the tensors that can differ from the start; all when None."""
        self.decay, self.steps = decay, 0
        self.moving = set(model.state_dict() if moving is None else moving)
        self.state = {name: t.detach().clone() for name, t in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's weights."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (self.steps + 9))
        state = model.state_dict()
        names = [name for name in self.moving if state[name].is_floating_point()]
        torch._foreach_lerp_(
            [self.state[name] for name in names], [state[name] for name in names], weight
        )
        for name in self.moving - set(names):
            self.state[name].copy_(state[name])
