"""A backbone as a pyramid of feature maps: what dense tasks stand on."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.contract import WeightsContract
from graft.vision.errors import HarmonyError


class Pyramid(Backbone):
    """Normalised images in, one map per reduction out, fine to coarse.

    The tensors keep the names and stages they have in the whole backbone; layers that no map needs
    are left out. A reduction that the architecture lacks (transformers have one only) is resampled
    from its nearest map.

    Args:
        reductions: px of the image per px of each map, e.g. ``(4, 8, 16, 32)``.

    Raises:
        HarmonyError: when the architecture gives no maps.
    """

    def __init__(
        self, contract: WeightsContract, model: nn.Module, reductions: Sequence[int]
    ) -> None:
        super().__init__(contract, model)
        self.reductions = tuple(reductions)
        sources = _sources(contract.architecture, model)
        chosen = [_nearest(reduction, sources) for reduction in self.reductions]
        self.map_channels = tuple(sources[reduction][1] for reduction in chosen)
        self._indices = sorted({sources[reduction][0] for reduction in chosen})
        self._places = [self._indices.index(sources[reduction][0]) for reduction in chosen]
        cast(Any, model).prune_intermediate_layers(self._indices, prune_norm=True, prune_head=True)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages that are left, in the order data meets them."""
        return tuple(dict.fromkeys(self._stage_by_unit.values()))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        """(N, C, S, S) normalised images to (N, D, S / reduction, S / reduction) maps."""
        found = cast(Any, self.model).forward_intermediates(
            images, indices=self._indices, intermediates_only=True
        )
        side = images.shape[2]
        return tuple(
            _resampled(found[place], side // reduction)
            for place, reduction in zip(self._places, self.reductions, strict=True)
        )

    def map_shapes(self, size_px: int) -> list[tuple[int, int, int]]:
        """(D, height, width) of each map of a view of this size."""
        return [
            (channels, size_px // reduction, size_px // reduction)
            for channels, reduction in zip(self.map_channels, self.reductions, strict=True)
        ]


def _sources(architecture: str, model: nn.Module) -> dict[int, tuple[int, int]]:
    """reduction -> (index, channels) of the last map that has it."""
    info = getattr(model, "feature_info", None)
    if info is None or not hasattr(model, "forward_intermediates"):
        raise HarmonyError(
            f"{architecture} gives no feature maps",
            allowed="a timm model with forward_intermediates, e.g. EfficientNet, ResNet, Inception",
            mend="choose another backbone.name for this task",
        )
    found: dict[int, tuple[int, int]] = {}
    for index, entry in enumerate(info):
        found[int(entry["reduction"])] = (index, int(entry["num_chs"]))
    return found


def _nearest(reduction: int, sources: dict[int, tuple[int, int]]) -> int:
    return min(sources, key=lambda there: (abs(there - reduction), there))


def _resampled(maps: torch.Tensor, side: int) -> torch.Tensor:
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
