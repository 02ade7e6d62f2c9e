"""A heat map for each class."""

from collections.abc import Sequence

import torch
from torch import nn

from graft.vision.backbones.backbone import Backbone
from graft.vision.model import GraftedModel
from graft.vision.options import Options
from graft.vision.task import ClassTable
from graft.vision.tasks.key_points.options import TaskOptions

REDUCTION = 8


class HeatMaps(nn.Module):
    """(N, D, h, w) maps to (N, C, h, w) logits: is this class's point here?"""

    def __init__(self, features: int, classes: int, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(features, channels, kernel_size=3, padding=1)
        self.classify = nn.Conv2d(channels, classes, kernel_size=1)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.classify(self.widen(maps[0]).relu())


def build_model(backbone: Backbone, classes: ClassTable, options: Options) -> GraftedModel:
    """The backbone's maps at an eighth of the view with new heat maps on them."""
    assert isinstance(options, TaskOptions)
    pyramid = backbone.pyramid((REDUCTION,))
    return GraftedModel(pyramid, HeatMaps(pyramid.map_channels[0], len(classes), options.channels))
