"""Strategies: exactly what each declares moves, at its stage's rate, and no bit of the rest."""

import itertools
import re

import pytest
from tiny_training import State, differing, new_training, options_of, state_of

from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.strategies import (
    STRATEGIES,
    moving_tensors,
    parameter_groups,
    trainable_stages,
)

# timm's BatchNorm with its activation inside, torch's BatchNorm, and none at all.
BACKBONES = {"test_efficientnet": 32, "test_resnet": 32, "test_vit": 160}


def declared(strategy: str, model: GraftedModel) -> set[str]:
    """What a strategy promises to move, said here once more in the plainest way."""
    parameters = {name for name, _ in model.named_parameters()}
    head = {"head.weight", "head.bias"}
    norm_or_bias = re.compile(
        r"\.(bn\d|norm\d?|conv1\.[14])\.weight$|\.bias$|downsample\.2\.weight$"
    )
    return {
        "probe": head,
        "lp_ft": parameters,
        "full": parameters,
        "gradual": parameters,
        "norm_and_bias": head | {name for name in parameters if norm_or_bias.search(name)},
        "scratch": parameters,
    }[strategy]


def buffers(model: GraftedModel) -> set[str]:
    return set(model.state_dict()) - {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("batch_norm", ["frozen", "moves"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategy__moves_exactly_what_it_declares(
    ground: Ground, strategy: str, batch_norm: str
) -> None:
    model = ground.new_model()
    wanted, start = declared(strategy, model), state_of(model)
    if batch_norm == "moves":
        stages = {model.stage_of(name) for name in wanted}
        wanted |= {name for name in buffers(model) if model.stage_of(name) in stages}
    after: list[State] = []
    training = new_training(
        ground,
        model=model,
        after_epoch=lambda row: after.append(state_of(model)),
        strategy=strategy,
        batch_norm=batch_norm,
        # A gradual training reaches its last stage after two thirds.
        epochs=4 if strategy == "gradual" else 1,
        batch_size=12,
        learning_rate=1e-2,
    )
    trained = training.run()
    assert differing(start, after[-1]) == wanted
    assert trained.frozen["before"] == trained.frozen["after"]
    assert trained.frozen["tensors"] == len(start) - len(wanted)


@pytest.mark.parametrize("name", BACKBONES)
def test_norm_and_bias__finds_the_norms_of_every_kind_of_backbone(
    ground: Ground, name: str
) -> None:
    model = ground.new_model(BackboneOptions(name=name, weights="none"))
    wanted = declared("norm_and_bias", model)
    assert moving_tensors(model, options_of(strategy="norm_and_bias")) == wanted
    assert len(wanted) > 10


def test_gradual__thaws_from_the_head_down_and_never_freezes_again(ground: Ground) -> None:
    model = ground.new_model()
    states = [state_of(model)]
    training = new_training(
        ground,
        model=model,
        after_epoch=lambda row: states.append(state_of(model)),
        strategy="gradual",
        epochs=6,
        learning_rate=1e-2,
    )
    training.run()
    for epoch, (before, after) in enumerate(itertools.pairwise(states)):
        learning = trainable_stages(model, training.options, epoch / 6)
        moved = {model.stage_of(name) for name in differing(before, after)}
        assert moved == set(learning)
    assert trainable_stages(model, training.options, 0.0) == ("head",)
    assert trainable_stages(model, training.options, 0.7) == model.stages


def test_groups__decay_by_the_distance_of_their_stage_from_the_head(ground: Ground) -> None:
    model = ground.new_model()
    options = options_of(strategy="lp_ft", learning_rate=1e-3, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in parameter_groups(model, options)}
    assert set(rates) == set(model.stages)
    for depth, stage in enumerate(reversed(model.stages)):
        assert rates[stage] == pytest.approx(1e-3 * 0.5**depth)


def test_groups__of_strategies_without_decay_all_have_the_same_rate(ground: Ground) -> None:
    model = ground.new_model()
    for strategy in ("full", "scratch", "norm_and_bias"):
        groups = parameter_groups(model, options_of(strategy=strategy, layer_decay=0.5))
        assert len({group["lr"] for group in groups}) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_groups__hold_every_moving_parameter_once_and_shrink_matrices_alone(
    ground: Ground, strategy: str
) -> None:
    model = ground.new_model()
    options: FineTuningOptions = options_of(strategy=strategy, weight_decay=0.1)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, options)
    found = [names[parameter] for group in groups for parameter in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == declared(strategy, model)
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.dim() > 1 else 0.0)
            assert model.stage_of(names[parameter]) == group["name"]
