"""Depthwise convolutions give what torch's give, and so do their gradients."""

from typing import Any

import pytest
import torch
from own_gradients import check_as_torch, check_nothing_unasked, gradients
from timm.layers import Conv2dSame
from torch import nn

from graft.vision.training.depthwise import can_be_fast, fast_forward
from graft.vision.training.forwards import with_forwards

CONVOLUTIONS = [
    (nn.Conv2d, {"kernel_size": 3, "padding": 1}, 8),
    (nn.Conv2d, {"kernel_size": 3, "padding": 1, "stride": 2}, 9),
    (nn.Conv2d, {"kernel_size": 5, "padding": 2}, 7),
    (nn.Conv2d, {"kernel_size": 5, "padding": 2, "stride": 2, "bias": False}, 8),
    (nn.Conv2d, {"kernel_size": 7, "padding": 3}, 9),
    (nn.Conv2d, {"kernel_size": 7, "padding": 1}, 9),
    (nn.Conv2d, {"kernel_size": (3, 5), "padding": (1, 2), "stride": (2, 1)}, 8),
    (Conv2dSame, {"kernel_size": 3, "stride": 2}, 8),
    (Conv2dSame, {"kernel_size": 3, "stride": 2}, 9),
    (Conv2dSame, {"kernel_size": 5, "stride": 2}, 11),
    (Conv2dSame, {"kernel_size": 3, "stride": 4}, 9),
    (Conv2dSame, {"kernel_size": 7, "stride": 4}, 10),
    (Conv2dSame, {"kernel_size": 5}, 6),
    (Conv2dSame, {"kernel_size": 5, "stride": 2}, 1),
    (Conv2dSame, {"kernel_size": 3, "stride": 2}, 2),
    (nn.Conv2d, {"kernel_size": 3, "stride": 4, "padding": 1}, 9),
    (nn.Conv2d, {"kernel_size": 3, "stride": 2, "padding": 0}, 8),
    (nn.Conv2d, {"kernel_size": 3, "padding": 4}, 5),
]


@pytest.mark.parametrize(("kind", "options", "side_px"), CONVOLUTIONS)
def test_fast__is_what_torch_gives_forwards_and_backwards(
    kind: Any, options: dict[str, Any], side_px: int
) -> None:
    torch.manual_seed(0)
    module = kind(6, 6, groups=6, **options).to(memory_format=torch.channels_last)
    maps, given = torch.randn(2, 3, 6, side_px + 6, side_px + 7)
    maps = maps[:, :, :side_px, : side_px + 1]
    assert can_be_fast(module)
    check_as_torch(module, fast_forward(module), maps, given)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 4},
        {"kernel_size": 3, "dilation": 2},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
)
def test_fast__leaves_others_alone(options: dict[str, Any]) -> None:
    assert not can_be_fast(nn.Conv2d(6, 6, groups=6, **options))
    assert not can_be_fast(nn.Conv2d(6, 12, 3, groups=6))


def test_fast__computes_no_gradient_that_nobody_asked_for() -> None:
    module = nn.Conv2d(4, 4, 5, groups=4, padding=2)
    check_nothing_unasked(module, fast_forward(module), torch.randn(1, 4, 6, 6))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side_px", [1, 2])
def test_fast__reads_nothing_beside_the_smallest_maps(side_px: int, stride: int) -> None:
    """oneDNN does: what is no number in freed memory then came into the weights."""
    module = nn.Conv2d(8, 8, 3, stride, padding=1, groups=8)
    maps, given = torch.randn(2, 4, 8, side_px, side_px)
    wanted = gradients(module, maps, given)
    for size in (1 << power for power in range(6, 18)):
        _ = [torch.full((size,), torch.nan) for _ in range(4)]
    with with_forwards({module: fast_forward(module)}), torch.autocast("cpu", torch.bfloat16):
        for found, one in zip(gradients(module, maps, given), wanted, strict=True):
            torch.testing.assert_close(found.float(), one, rtol=2e-2, atol=2e-2)
