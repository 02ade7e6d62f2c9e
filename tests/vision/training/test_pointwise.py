"""Pointwise convolutions give what torch's give, and so do their gradients."""

from typing import Any

import pytest
import torch
from own_gradients import check_as_torch, check_nothing_unasked
from torch import nn

from graft.vision.training.pointwise import can_be_product, product_forward


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
    assert can_be_product(module)
    check_as_torch(module, product_forward(module), maps, given)


def test_product__is_of_a_part_of_larger_maps_too() -> None:
    module, whole = nn.Conv2d(4, 8, 1), torch.randn(2, 4, 9, 9)
    given = torch.randn(2, 8, 7, 7)
    check_as_torch(module, product_forward(module), whole[:, :, 1:8, 1:8], given)


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
    module = nn.Conv2d(4, 4, 1)
    check_nothing_unasked(module, product_forward(module), torch.randn(1, 4, 6, 6))
