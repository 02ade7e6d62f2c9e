"""Frozen means frozen: no gradient, no moving BatchNorm, and a digest that proves it."""

from collections.abc import Collection

import torch
from torch import nn

from graft.vision.backbones.weights import digest_state
from graft.vision.model import Learner

NORMALISING = (
    nn.modules.batchnorm._BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
)


def freeze_stages(model: Learner, trainable: Collection[str]) -> None:
    """Let gradients reach exactly the tensors of these stages."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(model.stage_of(name) in trainable)


def set_training_mode(
    model: Learner, trainable: Collection[str], *, batch_norm_moves: bool
) -> None:
    """Put trainable stages into training mode, all else into evaluation mode.

    Args:
        batch_norm_moves: whether BatchNorm of trainable stages uses batch statistics and updates
            its buffers; few labels make those statistics worse than the pre-trained ones. A new
            head has none to keep: its own always learns.
    """
    model.eval()
    # As a whole: heads for boxes ask their containers whether they train.
    model.head.train("head" in trainable)
    for name, module in model.named_modules():
        if name.partition(".")[0] == "head":
            continue
        is_batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        # timm's BatchNorm holds its activation as a child, and is still one module.
        if not name or (next(module.children(), None) is not None and not is_batch_norm):
            continue
        if stage_of_module(model, name) in trainable and (batch_norm_moves or not is_batch_norm):
            module.train()


def stage_of_module(model: Learner, name: str) -> str:
    """The stage of a module without children, by its full name."""
    tensors = [f"{name}.{t}" for t, _ in model.get_submodule(name).named_parameters()]
    if tensors:
        return model.stage_of(tensors[0])
    if name.partition(".")[0] == "head":
        return "head"
    # A module without tensors (dropout, activation) belongs where its name lies.
    try:
        return model.stage_of(f"{name}.none")
    except KeyError:
        return "head"


def digest_stages(model: Learner, stages: Collection[str]) -> dict[str, str]:
    """SHA-256 of each stage over every parameter and every BatchNorm buffer."""
    by_stage: dict[str, dict[str, torch.Tensor]] = {stage: {} for stage in stages}
    for name, tensor in model.state_dict().items():
        stage = model.stage_of(name)
        if stage in by_stage:
            by_stage[stage][name] = tensor
    return {stage: digest_state(state) for stage, state in by_stage.items()}
