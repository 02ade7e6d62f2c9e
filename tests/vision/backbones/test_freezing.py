"""Frozen means frozen: gradients, BatchNorm and digests say the same."""

import pytest
import torch
from torch import nn

from graft.vision.backbones.freezing import digest_stages, freeze_stages, set_training_mode
from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel

# One keeps BatchNorm and activation apart, the other has timm's BatchNorm that holds both.
NAMES = ("test_efficientnet", "test_resnet", "test_vit")


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest, ground: Ground) -> GraftedModel:
    return ground.new_model(BackboneOptions(name=request.param, weights="none"))


def changed_by_forward(model: GraftedModel) -> set[str]:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8))
    return {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}


def test_freezing__lets_gradients_reach_exactly_the_named_stages(model: GraftedModel) -> None:
    chosen = model.stages[-2:]
    freeze_stages(model, chosen)
    reached = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert reached == {n for n, _ in model.named_parameters() if model.stage_of(n) in chosen}
    assert {model.stage_of(name) for name in reached} == set(chosen)


def test_batch_norm__moves_in_the_named_stages_only(model: GraftedModel) -> None:
    chosen = model.stages[-3:]
    set_training_mode(model, chosen, batch_norm_moves=True)
    buffers = {name for name, _ in model.named_buffers()} & set(model.state_dict())
    assert changed_by_forward(model) == {n for n in buffers if model.stage_of(n) in chosen}


def test_batch_norm__stays_when_it_is_frozen_or_its_stage_is(model: GraftedModel) -> None:
    set_training_mode(model, model.stages, batch_norm_moves=False)
    assert changed_by_forward(model) == set()
    set_training_mode(model, ["head"], batch_norm_moves=True)
    assert changed_by_forward(model) == set()


def test_training_mode__reaches_dropout_of_trainable_stages_alone(ground: Ground) -> None:
    model = ground.new_model()
    last = model.backbone.model.get_submodule("blocks.4")
    first = model.backbone.model.get_submodule("blocks.0")
    last.add_module("drop", nn.Dropout())
    first.add_module("drop", nn.Dropout())
    set_training_mode(model, ["blocks.4", "head"], batch_norm_moves=False)
    assert (last.drop.training, first.drop.training, model.head.training) == (True, False, True)


def test_stage_digests__change_with_one_tensor_of_their_stage_alone(model: GraftedModel) -> None:
    before = digest_stages(model, model.stages)
    name = next(n for n in model.state_dict() if model.stage_of(n) == model.stages[2])
    with torch.no_grad():
        model.state_dict()[name].view(-1)[0].add_(1)
    after = digest_stages(model, model.stages)
    assert {stage for stage in after if after[stage] != before[stage]} == {model.stages[2]}


def test_stage_digests__know_the_buffers_of_batch_norm(ground: Ground) -> None:
    model = ground.new_model()
    before = digest_stages(model, model.stages)
    set_training_mode(model, ["conv_stem"], batch_norm_moves=True)
    changed_by_forward(model)
    after = digest_stages(model, model.stages)
    assert {stage for stage in after if after[stage] != before[stage]} == {"conv_stem"}
