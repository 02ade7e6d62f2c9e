"""Depthwise convolutions that learn, on a CPU, at a multiple of the usual speed.

oneDNN's gradient of a depthwise weight larger than 3x3 takes nine times as long as the forward pass
in fp32 and fifty times in bf16; that of the maps before a strided one, twenty times in bf16. Those
of 3x3 weights, and of maps at stride 1, are quick. So a larger weight's gradient is put together
from those of its 3x3 parts, and that of the maps before a strided one is a forward pass over the
given gradient with zeros between: the same sums in another order (compared in tests).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from timm.layers import Conv2dSame, get_same_padding
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graft.vision.training.forwards import Forward

PART = 3
"""The largest side of a weight whose gradient is computed fast."""
CHUNK_BYTES = 1 << 21
"""Of maps that are looked at together: they are read several times, and are to stay in cache."""
KINDS = (nn.Conv2d, Conv2dSame)
"""Convolutions whose mathematics are known; others may change their weights as they run."""


class Way(NamedTuple):
    """How a weight goes over maps: steps along (H, W), and rows and columns of zeros before and
    after them."""

    stride: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]


def can_be_fast(module: nn.Conv2d) -> bool:
    """Whether a depthwise convolution is one that `fast_forward` computes."""
    return (
        type(module) in KINDS
        and module.in_channels == module.out_channels
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and all(side >= PART and side % 2 for side in module.kernel_size)
    )


def fast_forward(module: nn.Conv2d) -> Forward:
    """What such a module runs in place of its own forward pass, with gradients of its own."""

    def forward(maps: torch.Tensor) -> torch.Tensor:
        device = maps.device.type
        if torch.is_autocast_enabled(device):
            maps = maps.to(torch.get_autocast_dtype(device))
        found: torch.Tensor = _Depthwise.apply(maps, module.weight, module.bias, _way(module, maps))
        return found

    return forward


def _way(module: nn.Conv2d, maps: torch.Tensor) -> Way:
    down, right = module.stride
    if not isinstance(module, Conv2dSame):
        above, beside = (int(side) for side in module.padding)
        return Way((down, right), (above, beside), (above, beside))
    rows, columns = (
        get_same_padding(maps.shape[2 + i], module.kernel_size[i], module.stride[i], 1)
        for i in (0, 1)
    )
    before = (rows // 2, columns // 2)
    return Way((down, right), before, (rows - before[0], columns - before[1]))


class _Depthwise(torch.autograd.Function):
    """(N, C, H, W) by (C, 1, K, L), in the number format of the maps."""

    @staticmethod
    def forward(
        ctx: Any, maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, way: Way
    ) -> torch.Tensor:
        weight = weight.to(maps.dtype)
        ctx.save_for_backward(maps, weight)
        ctx.way = way
        shift = None if bias is None else bias.to(maps.dtype)
        padding = way.before
        if way.before != way.after:
            maps, padding = _padded(maps, way), (0, 0)
        with torch.autocast(maps.device.type, enabled=False):
            return F.conv2d(maps, weight, shift, way.stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        given = given.contiguous(memory_format=torch.channels_last)
        of_maps, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            _of_maps(given, maps, weight, ctx.way) if of_maps else None,
            _of_weight(given, maps, weight, ctx.way) if of_weight else None,
            given.sum(dim=(0, 2, 3)).float() if of_bias else None,
            None,
        )


def _of_maps(
    given: torch.Tensor, maps: torch.Tensor, weight: torch.Tensor, way: Way
) -> torch.Tensor:
    """The gradient of the maps: the turned weight over the given one, zeros between its steps."""
    if way.stride == (1, 1) and way.before == way.after:
        return _by_library(given, maps, weight, way.stride, way.before, (True, False))
    found, turned = torch.empty_like(maps), weight.flip(2, 3)
    sides = [maps.shape[2 + i] + weight.shape[2 + i] - 1 for i in (0, 1)]
    rows, columns = (
        slice(first := weight.shape[2 + i] - 1 - way.before[i],
              first + way.stride[i] * (given.shape[2 + i] - 1) + 1, way.stride[i])
        for i in (0, 1)
    )  # fmt: skip
    for images in _chunks(maps):
        part = given[images]
        apart = _empty(part, *sides).zero_()
        apart[:, :, rows, columns] = part
        found[images] = F.conv2d(apart, turned, None, 1, 0, 1, len(weight))
    return found


def _of_weight(
    given: torch.Tensor, maps: torch.Tensor, weight: torch.Tensor, way: Way
) -> torch.Tensor:
    """The gradient of the weight, in fp32."""
    down, right = weight.shape[2:]
    plain = max(down, right) <= PART <= min(maps.shape[2:])  # on less it reads what is not there
    if plain and way.before == way.after:
        return _by_library(given, maps, weight, way.stride, way.before, (False, True)).float()
    found = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
    small = weight[:, :, :PART, :PART]
    height, width = (way.stride[i] * (given.shape[2 + i] - 1) + PART for i in (0, 1))
    for images in _chunks(maps):
        around = _padded(maps[images], way)
        for row, above in _parts(down):
            for column, beside in _parts(right):
                under = around[:, :, row : row + height, column : column + width]
                part = _by_library(given[images], under, small, way.stride, (0, 0), (False, True))
                rows, columns = (
                    slice(row + above, row + PART),
                    slice(column + beside, column + PART),
                )
                found[:, :, rows, columns] += part[:, :, above:, beside:]
    return found


def _parts(side: int) -> Iterator[tuple[int, int]]:
    """Where each part of a side starts, and how much of it an earlier part has covered."""
    covered = 0
    while covered < side:
        start = min(covered, side - PART)
        yield start, covered - start
        covered = start + PART


def _chunks(maps: torch.Tensor) -> Iterator[slice]:
    """Images that are looked at together."""
    count = max(1, CHUNK_BYTES // (maps[0].numel() * maps.element_size()))
    yield from (slice(start, start + count) for start in range(0, len(maps), count))


def _padded(maps: torch.Tensor, way: Way) -> torch.Tensor:
    """As `torch.nn.functional.pad`, which fills all with zeros first."""
    (above, beside), height, width = way.before, maps.shape[2], maps.shape[3]
    found = _empty(maps, above + height + way.after[0], beside + width + way.after[1])
    found[:, :, above : above + height, beside : beside + width] = maps
    for rows in (slice(0, above), slice(above + height, None)):
        found[:, :, rows] = 0
    for columns in (slice(0, beside), slice(beside + width, None)):
        found[:, :, :, columns] = 0
    return found


def _empty(like: torch.Tensor, height: int, width: int) -> torch.Tensor:
    size = (*like.shape[:2], height, width)
    return torch.empty(
        size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _by_library(
    given: torch.Tensor,
    maps: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> torch.Tensor:
    """The usual gradient of the maps, or of the weight."""
    found = torch.ops.aten.convolution_backward(
        given, maps, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight),
        (*wanted, False),
    )  # fmt: skip
    gradient: torch.Tensor = found[wanted.index(True)]
    return gradient
