"""Pointwise convolutions that learn, on a CPU: their gradients are products of two matrices.

As such they take three quarters of the time of the library's gradients of a convolution, in bf16
and on maps of 14x14 and less. Of larger maps they take about as long: less from many channels, a
fifth more from 16 and 32 ones.
"""

from typing import Any, TypeGuard

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graft.vision.training.forwards import Forward, as_autocast


def can_be_product(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a convolution mixes channels and nothing else."""
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == module.stride == (1, 1)
        and module.groups == 1
        and module.padding == (0, 0)
    )


def product_forward(module: nn.Conv2d) -> Forward:
    """What such a module runs in place of its own forward pass, with gradients of its own."""

    def forward(maps: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = _Pointwise.apply(as_autocast(maps), module.weight, module.bias)
        return found

    return forward


class _Pointwise(torch.autograd.Function):
    """(N, C, H, W) by (D, C, 1, 1) to (N, D, H, W), in the number format of the maps."""

    @staticmethod
    def forward(
        ctx: Any, maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        weight = weight.to(maps.dtype)
        ctx.save_for_backward(maps, weight)
        shift = None if bias is None else bias.to(maps.dtype)
        with torch.autocast(maps.device.type, enabled=False):
            return F.conv2d(maps, weight, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        rows = _rows(given)
        of_maps, of_weight, of_bias = ctx.needs_input_grad
        return (
            _as_maps(rows @ weight.flatten(1), maps) if of_maps else None,
            (rows.t() @ _rows(maps)).float().view_as(weight) if of_weight else None,
            summed(given) if of_bias else None,
        )


def summed(given: torch.Tensor) -> torch.Tensor:
    """(C,) float32 sums over (N, C, H, W): image by image in its own format, which is many times
    faster than to widen each value first."""
    return given.sum(dim=(2, 3)).float().sum(dim=0)


def _rows(maps: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) as (N * H * W, C), which is how channels-last maps lie in memory."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _as_maps(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    count, _, height, width = like.shape
    return rows.view(count, height, width, -1).permute(0, 3, 1, 2)
