"""How far the gradients of one way to compute lie from those of another."""

from collections.abc import Callable, Mapping

import torch

from graft.vision.model import Learner
from graft.vision.training.chance import Chance

Run = Callable[[torch.Tensor], torch.Tensor]
"""A forward pass: views to outputs."""
ByName = Mapping[str, torch.Tensor]


def gradients_by(run: Run, model: Learner, views: torch.Tensor) -> ByName:
    """Of all that learns, by name, for outputs pulled in directions that are always the same.

    All images are pulled alike: what they say then adds up, and what rounding says does not. What
    is drawn by chance is the same each time, and nothing is left behind.
    """
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with Chance(views.device):
        outputs = run(views).float()
        one = outputs[0]
        towards = torch.linspace(-1, 1, one.numel(), device=one.device).view_as(one)
        loss = (outputs * towards).sum() / len(outputs)
        found = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
    # Copies, for graphs write theirs anew each time.
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient.clone()
        for (name, parameter), gradient in zip(learning.items(), found, strict=True)
    }


def apart(model: Learner, found: ByName, wanted: ByName) -> dict[str, float]:
    """The norm of the difference as a share of what is wanted, by stage: a head's gradients would
    hide all others'."""
    off, size = dict.fromkeys(model.stages, 0.0), dict.fromkeys(model.stages, 0.0)
    for name, gradient in wanted.items():
        stage = model.stage_of(name)
        off[stage] += float((found[name] - gradient).square().sum())
        size[stage] += float(gradient.square().sum())
    return {stage: float((off[stage] / (size[stage] or 1.0)) ** 0.5) for stage in off}
