"""A timm model without its classifier, with its contract and named stages."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

import timm
import torch
from torch import nn

from graft.vision.backbones.contract import WeightsContract

if TYPE_CHECKING:
    from graft.vision.backbones.pyramid import Pyramid


class Backbone(nn.Module):
    """Normalised images in, one pooled feature vector per image out."""

    def __init__(self, contract: WeightsContract, model: nn.Module) -> None:
        super().__init__()
        self.contract = contract
        self.model = model

    @classmethod
    def empty(cls, contract: WeightsContract) -> "Backbone":
        """The contract's architecture with fresh weights."""
        return cls(contract, new_architecture(contract.architecture, contract.channels))

    @property
    def stages(self) -> tuple[str, ...]:
        """Stage names in the order data meets them."""
        return self.contract.stages

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel, in 0..1."""
        return self.contract.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel, in 0..1."""
        return self.contract.std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) normalised images to (N, D) pooled features."""
        features: torch.Tensor = self.model(images)
        return features

    def feature_maps(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) normalised images to the unpooled output of the last stage."""
        maps: torch.Tensor = cast(Any, self.model).forward_features(images)
        return maps

    def pyramid(self, reductions: Sequence[int]) -> "Pyramid":
        """The same weights as a pyramid of maps; this backbone is used up by it."""
        from graft.vision.backbones.pyramid import Pyramid

        return Pyramid(self.contract, self.model, reductions)

    @cached_property
    def _stage_by_unit(self) -> dict[str, str]:
        return stages_by_unit(self.model)

    def stage_of(self, name: str) -> str:
        """The stage of a parameter or buffer, by its name in this backbone."""
        return self._stage_by_unit[unit_of(name.removeprefix("model."), self.model)]


def new_architecture(architecture: str, channels: int) -> nn.Module:
    """A timm model with fresh weights and no classifier.

    Where timm can, a model of one image size takes others too, by resampling its position
    embedding as it meets them.
    """
    if config_of(architecture).fixed_input_size:
        try:
            return _create(architecture, channels, dynamic_img_size=True)
        except TypeError:  # another family, which stays at its size
            pass
    return _create(architecture, channels)


@cache
def tensor_shapes(architecture: str) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of each tensor of a timm model, with its classifier, in order."""
    with torch.random.fork_rng(devices=[]):  # asked for once or twice, what is drawn is the same
        model = timm.create_model(architecture, pretrained=False)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def config_of(architecture: str) -> Any:
    """What timm knows of an architecture and of the weights that its name means."""
    return timm.get_pretrained_cfg(architecture)


def _create(architecture: str, channels: int, **more: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = timm.create_model(
            architecture, pretrained=False, num_classes=0, in_chans=channels, **more
        )
    return model


def unit_of(name: str, model: nn.Module) -> str:
    """The part of the model that a tensor belongs to: ``blocks.3``, ``layer2``, ``conv_stem``.

    Containers that only hold numbered parts are opened; tensors that hang on the model itself
    (class token, position embedding) count to its first part.
    """
    first, *rest = name.split(".")
    children = dict(model.named_children())
    if first not in children:
        return next(iter(stages_by_unit(model)))
    opens = isinstance(children[first], nn.Sequential | nn.ModuleList) and rest[0].isdigit()
    return f"{first}.{rest[0]}" if opens else first


def stages_by_unit(model: nn.Module) -> dict[str, str]:
    """Each unit that has tensors, in order, with its stage.

    A unit that only normalises belongs to the stage before it.
    """
    children = dict(model.named_children())
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    units: dict[str, bool] = {}
    for name, tensor in tensors.items():
        if name.split(".")[0] in children:
            unit = unit_of(name, model)
            units[unit] = units.get(unit, False) or tensor.dim() > 1
    order = sorted(units, key=lambda unit: _position(unit, list(children)))
    stages, current = {}, order[0]
    for unit in order:
        current = unit if units[unit] else current
        stages[unit] = current
    return stages


def _position(unit: str, children: list[str]) -> tuple[int, int]:
    first, _, number = unit.partition(".")
    return children.index(first), int(number or 0)
