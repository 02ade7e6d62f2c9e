"""Convolutions with gradients of their own, beside what torch gives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from graft.vision.training.forwards import with_forwards


def gradients(module: nn.Module, maps: torch.Tensor, given: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and the gradients of the maps and of each parameter."""
    maps = maps.detach().requires_grad_()  # as they lie, also within larger ones
    module.zero_grad()
    found = module(maps)
    (found.float() * given[..., : found.shape[2], : found.shape[3]]).sum().backward()
    assert maps.grad is not None
    return [found.detach(), maps.grad, *(p.grad for p in module.parameters())]


def check_as_torch(
    module: nn.Module, forward: Callable[..., Any], maps: torch.Tensor, given: torch.Tensor
) -> None:
    """In fp32 to rounding, and in bf16 as near as its eight bits are."""
    plain = gradients(module, maps, given)
    with with_forwards({module: forward}):
        found = gradients(module, maps, given)
        with torch.autocast("cpu", torch.bfloat16):
            half = gradients(module, maps, given)
    for wanted, one, rounded in zip(plain, found, half, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-5, atol=1e-5)
        off = (rounded.float() - wanted).abs().max() / wanted.abs().max()
        assert off < 2e-2
    assert half[0].dtype == torch.bfloat16
    assert {one.dtype for one in half[1:]} == {torch.float32}


def check_nothing_unasked(
    module: nn.Module, forward: Callable[..., Any], maps: torch.Tensor
) -> None:
    """A module that does not learn gets no gradient, and hands one on where it is asked for."""
    module.requires_grad_(False)
    with with_forwards({module: forward}):
        assert not module(maps).requires_grad
        module(maps.requires_grad_()).sum().backward()
    assert maps.grad is not None
    assert all(parameter.grad is None for parameter in module.parameters())
