"""A decoder over the backbone's maps, and a class score for each of its places."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from graft.vision.backbones.backbone import Backbone
from graft.vision.errors import HarmonyError
from graft.vision.model import GraftedModel
from graft.vision.options import Options
from graft.vision.task import ClassTable
from graft.vision.tasks.segmentation.decoders import DECODERS, REDUCTIONS, halving
from graft.vision.tasks.segmentation.options import TaskOptions


@dataclass(frozen=True)
class TrainingLogits:
    """What the head says while it trains: (N, C, h, w) ``logits`` and how they are to be judged."""

    logits: torch.Tensor
    options: TaskOptions


class SegmentationHead(nn.Module):
    """(N, D, h, w) maps, fine to coarse, to (N, C, h, w) logits at the size of the finest."""

    def __init__(self, map_channels: Sequence[int], classes: int, options: TaskOptions) -> None:
        super().__init__()
        self.options = options
        self.decoder = DECODERS[options.decoder](map_channels, options.decoder_channels)
        self.classifier = nn.Conv2d(self.decoder.out_channels, classes, kernel_size=1)
        for module in self.decoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        nn.init.trunc_normal_(self.classifier.weight, std=0.01)
        assert self.classifier.bias is not None
        nn.init.zeros_(self.classifier.bias)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor | TrainingLogits:
        """Logits; while training, together with the options that they are judged by."""
        decoded = self.decoder(halving(maps))
        logits = self.classifier(F.dropout2d(decoded, self.options.dropout, self.training))
        if logits.shape[2:] != maps[0].shape[2:]:
            size = maps[0].shape[2:]
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return TrainingLogits(logits, self.options) if self.training else logits


def build_model(backbone: Backbone, classes: ClassTable, options: Options) -> GraftedModel:
    """The backbone's maps with a new decoder; each pixel has exactly one class.

    Raises:
        HarmonyError: for a class table in which a pixel may have several classes.
    """
    assert isinstance(options, TaskOptions)
    if not classes.exclusive:
        raise HarmonyError(
            "segmentation gives each pixel one class",
            found="a class table whose classes are not exclusive",
            mend="turn multi_label off, or give each class its own task",
        )
    pyramid = backbone.pyramid(REDUCTIONS)
    return GraftedModel(pyramid, SegmentationHead(pyramid.map_channels, len(classes), options))
