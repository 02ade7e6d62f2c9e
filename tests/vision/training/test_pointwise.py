"""Pointwise convolutions give what torch's give, and so do their gradients."""

from typing import Any

import pytest
import torch
from torch import nn

from graft.vision.training.forwards import with_forwards
from graft.vision.training.pointwise import can_be_product, product_forward


def gradients(module: nn.Module, maps: torch.Tensor, given: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and the gradients of the maps and of each parameter."""
    maps = maps.clone(memory_format=torch.preserve_format).requires_grad_()
    module.zero_grad()
    found = module(maps)
    (found.float() * given).sum().backward()
    assert maps.grad is not None
    return [found.detach(), maps.grad, *(p.grad for p in module.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", [(3, 5, 4), (1, 1, 1), (2, 7, 7)])
def test_product__is_what_torch_gives_forwards_and_backwards(
    bias: bool, layout: Any, size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    count, *sides = size
    module = nn.Conv2d(6, 9, 1, bias=bias).to(memory_format=torch.channels_last)
    maps = torch.randn(count, 6, *sides).contiguous(memory_format=layout)
    given = torch.randn(count, 9, *sides)
    plain = gradients(module, maps, given)
    assert can_be_product(module)
    with with_forwards({module: product_forward(module)}):
        found = gradients(module, maps, given)
        with torch.autocast("cpu", torch.bfloat16):
            half = gradients(module, maps, given)
    for wanted, one, rounded in zip(plain, found, half, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-5, atol=1e-5)
        off = (rounded.float() - wanted).abs().max() / wanted.abs().max()
        assert off < 2e-2  # bf16 keeps eight bits
    assert half[0].dtype == torch.bfloat16
    assert {one.dtype for one in half[1:]} == {torch.float32}


def test_product__is_of_a_part_of_larger_maps_too() -> None:
    module, whole = nn.Conv2d(4, 8, 1), torch.randn(2, 4, 9, 9)
    given = torch.randn(2, 8, 7, 7)
    plain = gradients(module, whole[:, :, 1:8, 1:8], given)
    with with_forwards({module: product_forward(module)}):
        found = gradients(module, whole[:, :, 1:8, 1:8], given)
    for wanted, one in zip(plain, found, strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 1, "groups": 2},
        {"kernel_size": 1, "padding": 1},
        {"kernel_size": 1, "padding": "same"},
    ],
)
def test_product__leaves_others_alone(options: dict[str, Any]) -> None:
    assert not can_be_product(nn.Conv2d(4, 4, **options))


def test_product__computes_no_gradient_that_nobody_asked_for() -> None:
    module = nn.Conv2d(4, 4, 1).requires_grad_(False)
    maps = torch.randn(1, 4, 6, 6)
    with with_forwards({module: product_forward(module)}):
        assert not module(maps).requires_grad
        module(maps.requires_grad_()).sum().backward()
    assert maps.grad is not None and module.weight.grad is None
