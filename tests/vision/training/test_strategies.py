"""Strategies: exactly what each declares moves, at its stage's rate, and no bit of the rest.

Over the table of tasks: a stage means the same in each.
"""

import itertools
import re

import pytest
from task_grounds import lay_scenes
from tiny_training import State, differing, new_training, options_of, state_of

from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.ground import Ground
from graft.vision.errors import OptionsError
from graft.vision.model import GraftedModel
from graft.vision.tasks import TASKS
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.strategies import (
    STRATEGIES,
    moving_tensors,
    parameter_groups,
    trainable_stages,
)

# timm's BatchNorm with its activation inside, torch's BatchNorm, and none at all.
BACKBONES = {"test_efficientnet": 32, "test_resnet": 32, "test_vit": 160}
DECAYING = ("lp_ft", "gradual")


@pytest.fixture(scope="module", params=TASKS)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Four images of each task of the table, seen at 64 px."""
    return lay_scenes(request.param, tmp_path_factory.mktemp(request.param) / "pixels")


def declared(strategy: str, model: GraftedModel, frozen_stages: int = 0) -> set[str]:
    """What a strategy promises to move, said here once more in the plainest way."""
    parameters = {name for name, _ in model.named_parameters()}
    head = {name for name in parameters if name.startswith("head.")}
    norm_or_bias = re.compile(
        r"\.(bn\d|norm\d?|conv1\.[14])\.weight$|\.bias$|downsample\.2\.weight$"
    )
    moving = {
        "probe": head,
        "lp_ft": parameters,
        "full": parameters,
        "gradual": parameters,
        "norm_and_bias": head | {name for name in parameters if norm_or_bias.search(name)},
        "scratch": parameters,
    }[strategy]
    frozen = model.stages[:frozen_stages]
    return {name for name in moving if model.stage_of(name) not in frozen}


def buffers(model: GraftedModel) -> set[str]:
    return set(model.state_dict()) - {name for name, _ in model.named_parameters()}


def assert_moves(ground: Ground, wanted: set[str], model: GraftedModel, **options: object) -> None:
    """That a training moves these parameters, the statistics that belong to them, and no bit of
    the rest. A new head has no statistics to keep: its own always move."""
    learned = {model.stage_of(name) for name in wanted}
    moving = learned if options.get("batch_norm") == "moves" else learned & {"head"}
    wanted = wanted | {name for name in buffers(model) if model.stage_of(name) in moving}
    start = state_of(model)
    after: list[State] = []
    training = new_training(
        ground,
        model=model,
        after_epoch=lambda row: after.append(state_of(model)),
        # A gradual training reaches its last stage after two thirds.
        epochs=4 if options["strategy"] == "gradual" else 1,
        batch_size=4,
        learning_rate=1e-2,
        **options,
    )
    trained = training.run()
    assert differing(start, after[-1]) == wanted
    assert trained.frozen["before"] == trained.frozen["after"]
    assert trained.frozen["tensors"] == len(start) - len(wanted)


@pytest.mark.parametrize("batch_norm", ["frozen", "moves"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategy__moves_exactly_what_it_declares(
    ground: Ground, strategy: str, batch_norm: str
) -> None:
    model = ground.new_model()
    wanted = declared(strategy, model)
    assert_moves(ground, wanted, model, strategy=strategy, batch_norm=batch_norm)


@pytest.mark.parametrize("batch_norm", ["frozen", "moves"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_frozen_stages__never_move_whatever_the_strategy(
    ground: Ground, strategy: str, batch_norm: str
) -> None:
    model = ground.new_model()
    wanted = declared(strategy, model, frozen_stages=3)
    assert {model.stage_of(name) for name in wanted} <= set(model.stages[3:])
    assert_moves(ground, wanted, model, strategy=strategy, batch_norm=batch_norm, frozen_stages=3)


def test_frozen_stages__leave_the_head_or_are_refused(ground: Ground) -> None:
    model = ground.new_model()
    count = len(model.stages)
    most = options_of(frozen_stages=count - 1)
    assert trainable_stages(model, most, 1.0) == ("head",)
    assert moving_tensors(model, most) == moving_tensors(model, options_of(strategy="probe"))
    with pytest.raises(OptionsError, match=f"the head must learn.*0 to {count - 1}, of"):
        new_training(ground, model=model, frozen_stages=count)


@pytest.mark.parametrize("frozen_stages", [0, 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_step__is_as_long_as_the_rate_of_its_stage(
    ground: Ground, strategy: str, frozen_stages: int
) -> None:
    model = ground.new_model()
    start, depths = state_of(model), {s: i for i, s in enumerate(reversed(model.stages))}
    options = {"strategy": strategy, "frozen_stages": frozen_stages, "layer_decay": 0.5}
    training = new_training(
        ground,
        model=model,
        **options,
        batch_size=4,
        learning_rate=0.01,
        weight_decay=0.0,
        gradient_clip=None,
    )
    training.run()
    longest = dict.fromkeys(depths, 0.0)
    for name, parameter in model.named_parameters():
        step = float((parameter.detach() - start[name]).abs().max())
        longest[model.stage_of(name)] = max(longest[model.stage_of(name)], step)
    learning = trainable_stages(model, training.options, 0.0)
    for stage, depth in depths.items():
        # The first step of Adam is as long as its rate, whatever the gradient.
        rate = 0.01 * (0.5**depth if strategy in DECAYING else 1.0)
        assert longest[stage] == pytest.approx(rate if stage in learning else 0.0, rel=0.01)


@pytest.mark.parametrize("name", BACKBONES)
def test_norm_and_bias__finds_the_norms_of_every_kind_of_backbone(
    ground: Ground, name: str
) -> None:
    model = ground.new_model(BackboneOptions(name=name, weights="none"))
    wanted = declared("norm_and_bias", model)
    moving = moving_tensors(model, options_of(strategy="norm_and_bias"))
    assert moving - buffers(model) == wanted
    assert moving & buffers(model) == {n for n in buffers(model) if n.startswith("head.")}
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
        batch_size=4,
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
