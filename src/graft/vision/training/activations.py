"""Activations whose gradient needs no copy of what they were given.

In place, autograd copies what the gradient is a function of before it is overwritten: a pass over
the largest maps, and twice their memory. Out of place nothing is copied; and a clamp's gradient can
be told from what it gave, which the layer after it keeps anyway.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graft.vision.training.forwards import Forward

CLAMPS = (nn.ReLU6, nn.Hardtanh)
OUT_OF_PLACE = {nn.SiLU: F.silu, nn.Hardswish: F.hardswish, nn.Mish: F.mish}


def frugal_forwards(model: nn.Module) -> dict[nn.Module, Forward]:
    """What activations of a model run in place of their own forward passes."""
    found: dict[nn.Module, Forward] = {}
    for module in model.modules():
        if type(module) in CLAMPS:
            found[module] = _clamp(module)
        elif type(module) in OUT_OF_PLACE and module.inplace:
            found[module] = OUT_OF_PLACE[type(module)]
    return found


def _clamp(module: Any) -> Forward:
    low, high = float(module.min_val), float(module.max_val)

    def forward(maps: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return F.hardtanh(maps, low, high, inplace=module.inplace)
        found: torch.Tensor = _Clamp.apply(maps, low, high)
        return found

    return forward


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, low: float, high: float) -> torch.Tensor:
        found = maps.clamp(low, high)
        ctx.save_for_backward(found)
        ctx.between = low, high
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (found,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(given, found, *ctx.between), None, None
