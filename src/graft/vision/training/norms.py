"""BatchNorm that learns from each batch, and what it has learned so far."""

from collections.abc import Sequence

import torch
from torch import nn

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Tensors, and what they held."""


def learning_norms(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """BatchNorm that learns from each batch, by name."""
    kind = nn.modules.batchnorm._BatchNorm
    return [(n, m) for n, m in model.named_modules() if isinstance(m, kind) and m.training]


def kept_statistics(model: nn.Module) -> Kept:
    """What such BatchNorm has gathered, to be put back."""
    buffers = [b for _, norm in learning_norms(model) for b in norm.buffers(recurse=False)]
    return [(buffer, buffer.detach().clone()) for buffer in buffers]


@torch.no_grad()
def put_back(kept: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Let tensors hold again what they held."""
    for tensor, value in kept:
        tensor.copy_(value)
