"""A linear head on pooled features."""

import torch
from torch import nn
from torch.nn import functional as F

from graft.vision.backbones.backbone import Backbone
from graft.vision.model import GraftedModel
from graft.vision.options import Options
from graft.vision.task import ClassTable
from graft.vision.tasks.classification.options import TaskOptions


class DroppingLinear(nn.Linear):
    """A linear layer that drops features while it trains; its weights are a plain linear's."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__(features, classes)
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(F.dropout(features, self.dropout, self.training))


def build_model(backbone: Backbone, classes: ClassTable, options: Options) -> GraftedModel:
    """The backbone with a new head; its biases start at nothing."""
    assert isinstance(options, TaskOptions)
    head = DroppingLinear(backbone.contract.features, len(classes), options.dropout)
    nn.init.trunc_normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return GraftedModel(backbone, head)
