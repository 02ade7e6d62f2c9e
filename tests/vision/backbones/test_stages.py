"""Stages: every tensor of a backbone belongs to one, in the order data meets them."""

from functools import cache

import pytest
import torch

from graft.vision.backbones.backbone import Backbone, unit_of
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone

# The least side in px that an architecture takes; inceptions lose too many at each reduction.
SIDES = {
    "tf_efficientnet_lite0": 32,
    "resnet18": 32,
    "inception_v3": 80,
    "inception_v4": 80,
    "vit_tiny_patch16_224": 224,
    "test_convnext": 32,
}
every_backbone = pytest.mark.parametrize("name", SIDES)


@cache
def built(name: str) -> Backbone:
    return load_backbone(BackboneOptions(name=name, weights="none")).eval()


@every_backbone
def test_backbone__gives_one_feature_vector_per_image(name: str) -> None:
    backbone, side = built(name), SIDES[name]
    with torch.inference_mode():
        features = backbone(torch.zeros(2, 3, side, side))
        maps = backbone.feature_maps(torch.zeros(1, 3, side, side))
    assert features.shape == (2, backbone.contract.features)
    assert features.isfinite().all()
    assert maps.dim() in (3, 4)


@every_backbone
def test_stages__hold_every_tensor_and_none_is_empty(name: str) -> None:
    backbone = built(name)
    found = {backbone.stage_of(tensor) for tensor in backbone.state_dict()}
    assert found == set(backbone.stages)
    assert len(backbone.stages) == len(set(backbone.stages)) > 3


@every_backbone
def test_stages__stand_in_the_order_data_meets_them(name: str) -> None:
    backbone, met = built(name), []

    def note(stage: str) -> None:
        if stage not in met:
            met.append(stage)

    hooks = [
        module.register_forward_pre_hook(
            lambda *_, part=part: note(backbone.stage_of(f"model.{part}.any"))
        )
        for part, module in backbone.model.named_modules()
        if part and list(module.parameters(recurse=False))
    ]
    with torch.inference_mode():
        backbone(torch.zeros(1, 3, SIDES[name], SIDES[name]))
    for hook in hooks:
        hook.remove()
    assert tuple(met) == backbone.stages


def test_stages__of_a_vit_count_its_tokens_to_the_stem_and_its_last_norm_to_the_last_block() -> (
    None
):
    vit = built("vit_tiny_patch16_224")
    assert vit.stages == ("patch_embed", *(f"blocks.{i}" for i in range(12)))
    assert vit.stage_of("model.cls_token") == vit.stage_of("model.pos_embed") == "patch_embed"
    assert vit.stage_of("model.norm.weight") == "blocks.11"


def test_stages__of_a_resnet_are_its_residual_blocks() -> None:
    resnet = built("resnet18")
    blocks = [f"layer{i}.{j}" for i in range(1, 5) for j in range(2)]
    assert resnet.stages == ("conv1", *blocks)
    assert resnet.stage_of("model.bn1.running_mean") == "conv1"


def test_unit__of_a_tensor_opens_only_numbered_containers() -> None:
    model = built("resnet18").model
    assert unit_of("layer2.0.conv1.weight", model) == "layer2.0"
    assert unit_of("conv1.weight", model) == "conv1"


def test_backbone__is_built_empty_from_its_contract_alone() -> None:
    backbone = built("resnet18")
    again = Backbone.empty(backbone.contract)
    shapes = {name: tensor.shape for name, tensor in backbone.state_dict().items()}
    assert {name: tensor.shape for name, tensor in again.state_dict().items()} == shapes
