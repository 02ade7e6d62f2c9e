"""Depthwise convolutions that learn, on a CPU, at a multiple of the usual speed.

oneDNN's forward pass of them is quick, in bf16 too; what it does with zeros on one side alone, and
its gradients, are many times slower. So both gradients are put together from forward passes: the
same sums in another order (compared in tests).

- Zeros that differ before and after: as many on both sides, and outputs that are too many left out.
- The gradient of the maps: the turned weight over the given gradient. Before a stride, each place
  of a step meets its own part of the weight alone, which is a convolution without a stride.
- The gradient of the weight, which in oneDNN takes nine times as long as the forward pass where it
  is larger than 3x3 (fifty times in bf16): the given gradient as a weight over the maps, image by
  image. Up to 3x3 the library's own is quick.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from timm.layers import Conv2dSame, get_same_padding
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from graft.vision.training.forwards import Forward, as_autocast
from graft.vision.training.pointwise import summed

SMALL = 3
"""The largest side of a weight whose gradient the library computes fast."""
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
        and all(side >= SMALL and side % 2 for side in module.kernel_size)
    )


def fast_forward(module: nn.Conv2d) -> Forward:
    """What such a module runs in place of its own forward pass, with gradients of its own."""

    def forward(maps: torch.Tensor) -> torch.Tensor:
        maps = as_autocast(maps)
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
        with torch.autocast(maps.device.type, enabled=False):
            return _convolved(maps, weight, shift, way)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        given = given.contiguous(memory_format=torch.channels_last)
        of_maps, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            _of_maps(given, maps, weight, ctx.way) if of_maps else None,
            _of_weight(given, maps, weight, ctx.way) if of_weight else None,
            summed(given) if of_bias else None,
            None,
        )


def _convolved(
    maps: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor | None, way: Way
) -> torch.Tensor:
    """The forward pass; what it gives may be a part of a larger tensor."""
    padding, skipped, sizes = [], [], []
    for axis, (step, before, after) in enumerate(zip(*way, strict=True)):
        skipped.append(max(0, math.ceil((after - before) / step)))
        padding.append(before + step * skipped[axis])
        around = maps.shape[2 + axis] + before + after - weight.shape[2 + axis]
        sizes.append(around // step + 1)
    if any(zeros >= side for zeros, side in zip(padding, weight.shape[2:], strict=True)):
        return F.conv2d(_padded(maps, way), weight, shift, way.stride, 0, 1, len(weight))
    found = F.conv2d(maps, weight, shift, way.stride, padding, 1, len(weight))
    return _cut(found, skipped, sizes)


def _cut(maps: torch.Tensor, first: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
    """So many rows and columns from the first on."""
    rows, columns = (slice(at, at + size) for at, size in zip(first, sizes, strict=True))
    return maps[:, :, rows, columns]


def _of_maps(
    given: torch.Tensor, maps: torch.Tensor, weight: torch.Tensor, way: Way
) -> torch.Tensor:
    """The gradient of the maps."""
    if way.stride == (1, 1):
        return _of_place((0, 0), given, maps.shape[2:], weight, way)
    found = torch.empty_like(maps)
    for row, column in product(range(way.stride[0]), range(way.stride[1])):
        place = found[:, :, row :: way.stride[0], column :: way.stride[1]]
        place.copy_(_of_place((row, column), given, place.shape[2:], weight, way))
    return found


def _of_place(
    place: Sequence[int],
    given: torch.Tensor,
    sizes: Sequence[int],
    weight: torch.Tensor,
    way: Way,
) -> torch.Tensor:
    """The gradient of the maps at this place of each step, (N, C, *sizes): the turned part of the
    weight that meets it goes over the given gradient."""
    taps, padding, skipped = [], [], []
    for axis, (at, step, before) in enumerate(zip(place, way.stride, way.before, strict=True)):
        first = (at + before) % step
        taps.append(slice(first, None, step))
        count = len(range(first, weight.shape[2 + axis], step))
        # Row i of this place meets the gradient's rows i + last, i + last - 1, ..., a tap each.
        last = (at + before) // step
        above, below = count - 1 - last, sizes[axis] + last - given.shape[2 + axis]
        padding.append(max(above, below, 0))
        skipped.append(padding[axis] - above)
    part = weight[:, :, taps[0], taps[1]].flip(2, 3)
    if not (part.numel() and all(sizes)):  # a step longer than the weight, or than the maps
        return given.new_zeros(*given.shape[:2], *sizes)
    return _cut(F.conv2d(given, part, None, 1, padding, 1, len(weight)), skipped, sizes)


def _of_weight(
    given: torch.Tensor, maps: torch.Tensor, weight: torch.Tensor, way: Way
) -> torch.Tensor:
    """The gradient of the weight, in fp32."""
    # Of maps that are smaller than the weight the library reads what is not there.
    if max(weight.shape[2:]) <= SMALL <= min(maps.shape[2:]):
        if way.before == way.after:
            return _by_library(given, maps, weight, way.stride, way.before)
        return _by_library(given, _padded(maps, way), weight, way.stride, (0, 0))
    padding = [max(zeros) for zeros in zip(way.before, way.after, strict=True)]
    skipped = [most - before for most, before in zip(padding, way.before, strict=True)]
    found = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
    for image, gradient in zip(maps.split(1), given, strict=True):
        over = F.conv2d(image, gradient[:, None], None, 1, padding, way.stride, len(weight))
        found += _cut(over, skipped, weight.shape[2:])[0, :, None]
    return found


def _padded(maps: torch.Tensor, way: Way) -> torch.Tensor:
    """As `torch.nn.functional.pad`, which fills all with zeros first."""
    (above, beside), height, width = way.before, maps.shape[2], maps.shape[3]
    size = (*maps.shape[:2], above + height + way.after[0], beside + width + way.after[1])
    found = torch.empty(
        size, dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last
    )
    found[:, :, above : above + height, beside : beside + width] = maps
    for rows in (slice(0, above), slice(above + height, None)):
        found[:, :, rows] = 0
    for columns in (slice(0, beside), slice(beside + width, None)):
        found[:, :, :, columns] = 0
    return found


def _by_library(
    given: torch.Tensor,
    maps: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """The usual gradient of the weight, in fp32."""
    gradient: torch.Tensor = torch.ops.aten.convolution_backward(
        given, maps, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight),
        (False, True, False),
    )[1]  # fmt: skip
    return gradient.float()
