"""Which tensors move in which epoch, and at which rate: each strategy, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from graft.vision.backbones.freezing import NORMALISING
from graft.vision.errors import OptionsError
from graft.vision.model import Learner
from graft.vision.training.options import FineTuningOptions

TrainableStages = Callable[[tuple[str, ...], float], tuple[str, ...]]
"""(stages from stem to head, share of training done) -> the stages that learn."""


@dataclass(frozen=True)
class Strategy:
    """``stages`` says which learn when; with ``only_norms`` the backbone's other weights stay."""

    stages: TrainableStages
    decays: bool
    only_norms: bool = False


def _all(stages: tuple[str, ...], done: float) -> tuple[str, ...]:
    return stages


def _head(stages: tuple[str, ...], done: float) -> tuple[str, ...]:
    return stages[-1:]


def _from_the_head_down(stages: tuple[str, ...], done: float) -> tuple[str, ...]:
    """One more stage after each equal part of the first two thirds (Howard and Ruder, 2018)."""
    count = 1 + int(min(1.0, done * 1.5) * (len(stages) - 1))
    return stages[-count:]


STRATEGIES = {
    "probe": Strategy(_head, decays=False),
    "lp_ft": Strategy(_all, decays=True),
    "full": Strategy(_all, decays=False),
    "gradual": Strategy(_from_the_head_down, decays=True),
    "norm_and_bias": Strategy(_all, decays=False, only_norms=True),
    "scratch": Strategy(_all, decays=False),
}


def trainable_stages(model: Learner, options: FineTuningOptions, done: float) -> tuple[str, ...]:
    """The stages that learn when this share of training is done.

    Raises `OptionsError` when no stage of the backbone and not even the head is left to learn.
    """
    left = model.stages[options.frozen_stages :]
    if not left:
        raise OptionsError(
            "fine_tuning.frozen_stages: the head must learn",
            found=options.frozen_stages,
            allowed=f"0 to {len(model.stages) - 1}, of {', '.join(model.stages)}",
            mend="freeze fewer stages",
        )
    return STRATEGIES[options.strategy].stages(left, done)


def moving_tensors(model: Learner, options: FineTuningOptions) -> set[str]:
    """Names of all parameters and buffers that may move at any time of the training."""
    stages = set(trainable_stages(model, options, 1.0))
    movable = _movable_parameters(model, options)
    names = {name for name in movable if model.stage_of(name) in stages}
    if options.batch_norm != "moves":
        stages &= {"head"}  # a new head has no statistics to keep
    buffers = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    return names | {name for name in buffers if model.stage_of(name) in stages}


def always_frozen(model: Learner, options: FineTuningOptions) -> tuple[str, ...]:
    """The stages, from the stem on, that come before all that ever learn."""
    first = trainable_stages(model, options, 1.0)[0]
    return model.stages[: model.stages.index(first)]


def set_trainable(model: Learner, options: FineTuningOptions, stages: tuple[str, ...]) -> None:
    """Let gradients reach exactly what the strategy declares for these stages."""
    movable = _movable_parameters(model, options)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in movable and model.stage_of(name) in stages)


def parameter_groups(model: Learner, options: FineTuningOptions) -> list[dict[str, Any]]:
    """One group per stage and decay: ``lr`` is the stage's peak rate, ``name`` the stage."""
    strategy = STRATEGIES[options.strategy]
    depth = {stage: i for i, stage in enumerate(reversed(model.stages))}
    moving = moving_tensors(model, options)
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if name not in moving:
            continue
        stage, shrinks = model.stage_of(name), parameter.dim() > 1
        rate = options.learning_rate * (
            options.layer_decay ** depth[stage] if strategy.decays else 1
        )
        group = groups.setdefault(
            (stage, shrinks),
            {
                "name": stage,
                "params": [],
                "lr": rate,
                "peak": rate,
                "weight_decay": options.weight_decay if shrinks else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def _movable_parameters(model: Learner, options: FineTuningOptions) -> set[str]:
    names = {name for name, _ in model.named_parameters()}
    if not STRATEGIES[options.strategy].only_norms:
        return names
    norms = {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        if isinstance(module, (*NORMALISING, nn.Identity))
        or "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    }
    biases = {name for name in names if name.endswith(".bias")}
    return {name for name in names if name in norms | biases or model.stage_of(name) == "head"}
