"""Boxes that a detector starts from: the same at each place of a map."""

from collections.abc import Sequence

import torch
from torch import nn

SCALES, RATIOS = (3.0, 4.25), (0.5, 1.0, 2.0)
"""Where nothing is known of the objects: with maps at 8 to 64 px per place, squares of 24, 34, 48,
68, ... 272 px. With two per octave, any object of these sizes and ratios on the middle of a place
overlaps its anchor by an IoU of 0.7."""


class Anchors(nn.Module):
    """Anchors of every map, place by place.

    Args:
        scales: sides (of a square) in places of their own map: the coarser the map, the larger
            its anchors.
        ratios: heights by widths, at equal area.
    """

    def __init__(
        self, scales: Sequence[float] | None = None, ratios: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        scales, ratios = scales or SCALES, ratios or RATIOS
        sides = [(scale * ratio**-0.5, scale * ratio**0.5) for scale in scales for ratio in ratios]
        self._half = torch.tensor(sides) / 2

    def __len__(self) -> int:
        """Anchors per place."""
        return len(self._half)

    def forward(self, maps: Sequence[torch.Tensor], side_px: int) -> torch.Tensor:
        """(A, 4) ``xyxy`` in px of the view, around the middle of each place, row by row."""
        return torch.cat([self._of_map(one, side_px) for one in maps])

    def _of_map(self, one: torch.Tensor, side_px: int) -> torch.Tensor:
        stride = side_px / one.shape[-1]
        along = torch.arange(one.shape[-1], device=one.device) + 0.5
        y, x = torch.meshgrid(along, along, indexing="ij")
        middle = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)
        half = self._half.to(one.device)
        return stride * torch.cat([middle - half, middle + half], dim=-1).reshape(-1, 4)
