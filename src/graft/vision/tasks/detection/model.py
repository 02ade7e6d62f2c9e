"""A detector on a backbone's pyramid."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork

from graft.vision.backbones.backbone import Backbone
from graft.vision.model import GraftedModel
from graft.vision.options import Options
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.detection.detector import Detector, Maps, Objects
from graft.vision.tasks.detection.faster_rcnn import FasterRcnn
from graft.vision.tasks.detection.fcos import Fcos
from graft.vision.tasks.detection.options import TaskOptions
from graft.vision.tasks.detection.retinanet import RetinaNet

ARCHITECTURES = {"faster_rcnn": FasterRcnn, "retinanet": RetinaNet, "fcos": Fcos}


@dataclass(frozen=True)
class Learning:
    """What a head in training mode gives: all that the losses need beside the truth."""

    detector: Detector
    maps: Maps
    side_px: int

    @property
    def device(self) -> torch.device:
        """Where the maps are."""
        return self.maps[0].device

    def losses(self, objects: Sequence[Objects], options: LossOptions) -> dict[str, torch.Tensor]:
        """The detector's terms, by name."""
        with torch.autocast(self.device.type, enabled=False):
            return self.detector.losses(self.maps, self.side_px, objects, options)


class DetectionHead(nn.Module):
    """Maps of a backbone in; `Learning` out while training, else (N, D, 6) detections.

    Detections are ``x0, y0, x1, y1`` in px of the view, score, class id: best first, padded with
    score 0 to D of the options. Of a view whose maps are not finite the first is NaN.
    """

    def __init__(self, channels: Sequence[int], classes: int, options: TaskOptions) -> None:
        super().__init__()
        self._finest, self._extra = options.reductions[0], options.extra_levels
        self._most = options.detections_per_image
        self.neck = FeaturePyramidNetwork(
            list(channels), options.pyramid_channels, norm_layer=nn.BatchNorm2d
        )
        self.detector: nn.Module = ARCHITECTURES[options.architecture](classes, options)

    def forward(self, maps: Sequence[torch.Tensor]) -> Learning | torch.Tensor:
        side_px = maps[0].shape[-1] * self._finest
        pyramid, detector = self._pyramid(maps), cast(Detector, self.detector)
        if self.training:
            return Learning(detector, pyramid, side_px)
        with torch.autocast(maps[0].device.type, enabled=False):
            found = detector.detect(pyramid, side_px)
        return torch.stack([F.pad(one, (0, 0, 0, self._most - len(one))) for one in found])

    def _pyramid(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        named = OrderedDict((str(i), one) for i, one in enumerate(maps))
        pyramid = [one.float() for one in self.neck(named).values()]
        for _ in range(self._extra):
            pyramid.append(pyramid[-1][:, :, ::2, ::2])
        return pyramid


def build_model(backbone: Backbone, classes: ClassTable, options: Options) -> GraftedModel:
    """The backbone's maps with a new detector on them."""
    assert isinstance(options, TaskOptions)
    pyramid = backbone.pyramid(options.reductions)
    head = DetectionHead(pyramid.map_channels, len(classes), options)
    return GraftedModel(pyramid, head)
