"""Decoders of segmentation_models_pytorch over the maps of any backbone.

Each takes maps at reductions 4, 8, 16 and 32, fine to coarse, and gives one map at reduction 4.
"""

from collections.abc import Sequence
from typing import Any

import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import nn
from torch.nn import functional as F

REDUCTIONS = (4, 8, 16, 32)
Maps = Sequence[torch.Tensor]


class FpnDecoder(FPNDecoder):
    """Feature pyramid (Kirillov et al., 2019): every map widened, enlarged and added up."""

    def __init__(self, map_channels: Sequence[int], channels: int) -> None:
        super().__init__(
            list(map_channels), 4, channels, channels, dropout=0.0, interpolation_mode="nearest"
        )


class UNetDecoder(UnetDecoder):
    """U-Net (Ronneberger et al., 2015) up to a quarter of the view, each step half as wide."""

    def __init__(self, map_channels: Sequence[int], channels: int) -> None:
        super().__init__([0, *map_channels], [4 * channels, 2 * channels, channels], n_blocks=3)
        self.out_channels = channels

    def forward(self, features: Maps) -> torch.Tensor:
        # The first of the original's maps is never looked at, only its place in the list.
        return super().forward([features[0], *features])


class DeepLabDecoder(DeepLabV3PlusDecoder):
    """DeepLabV3+ (Chen et al., 2018): looks around at several distances, then at fine edges.

    The backbone is not dilated: its coarsest map is enlarged to a sixteenth of the view instead,
    and the distances are those of such a map of a small view.
    """

    def __init__(self, map_channels: Sequence[int], channels: int) -> None:
        fine, *_, middle, coarse = map_channels
        super().__init__(
            [0, 0, fine, middle + coarse],
            encoder_depth=5,
            out_channels=channels,
            atrous_rates=(2, 4, 6),
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=0.0,
        )
        self.out_channels = channels
        # BatchNorm of one pooled value per image could not learn from a batch of one image.
        pooling: Any = self.aspp[0].convs[-1]
        pooling[2] = nn.GroupNorm(1, channels)

    def forward(self, features: Maps) -> torch.Tensor:
        fine, _, middle, coarse = features
        size = middle.shape[2:]
        enlarged = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        return super().forward([fine, fine, fine, torch.cat([middle, enlarged], dim=1)])


class SegFormerDecoder(SegformerDecoder):
    """SegFormer (Xie et al., 2021): every map projected, enlarged and fused point by point."""

    def __init__(self, map_channels: Sequence[int], channels: int) -> None:
        super().__init__([0, *map_channels], 4, channels)
        self.out_channels = channels

    def forward(self, features: Maps) -> torch.Tensor:
        number, _, height, width = features[0].shape
        # Of the view only the size is looked at.
        view = features[0].new_empty(number, 0, 4 * height, 4 * width)
        return super().forward([view, *features])


Decoder = FpnDecoder | UNetDecoder | DeepLabDecoder | SegFormerDecoder
DECODERS: dict[str, type[Decoder]] = {
    "fpn": FpnDecoder,
    "unet": UNetDecoder,
    "deeplabv3plus": DeepLabDecoder,
    "segformer": SegFormerDecoder,
}


def halving(maps: Maps) -> list[torch.Tensor]:
    """The maps at sides that halve exactly, as decoders need them; most already are.

    The coarsest keeps its size or grows; of a view of 240 px the sides 60, 30, 15, 7 become
    64, 32, 16, 8.
    """
    steps = len(maps) - 1
    coarsest = [max(1, -(-side // 2**steps)) for side in maps[0].shape[2:]]
    sizes = [tuple(side * 2 ** (steps - i) for side in coarsest) for i in range(len(maps))]
    return [
        found
        if tuple(found.shape[2:]) == size
        else F.interpolate(found, size=size, mode="bilinear", align_corners=False)
        for found, size in zip(maps, sizes, strict=True)
    ]
