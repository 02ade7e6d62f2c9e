"""BatchNorm that stands still, computed within the convolution before it.

With frozen statistics, BatchNorm is a scale and a shift of each channel; both go into the
convolution's weight and bias, and a pass over the maps is saved each way. They are computed anew in
each forward pass from the parameters that the model declares, as a part of the graph: those get the
gradients they would have had, the optimiser moves them as before, and nothing is to be unfolded.
That is work for each weight, so it is done where maps are large enough to pay for it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from graft.vision.model import GraftedModel, Learner
from graft.vision.training.forwards import Forward, with_forwards

Fold = tuple[nn.Conv2d, nn.BatchNorm2d]
TOLERANCE = 1e-3
"""Of the largest feature: how far the folded model may lie from the plain one in fp32. Rounding
gives some 1e-6, and a fold that is wrong some tenths."""
VALUES_PER_FOLD, VALUES_PER_WEIGHT = 100_000, 2
"""What a fold costs in a step, in values of a batch's maps whose pass it saves at a nanosecond
each: some 0.1 ms, and two nanoseconds for each weight. Of a CPU thread, in fp32 and in bf16."""


def find_folds(model: Learner, views: torch.Tensor, batch_size: int) -> Sequence[Fold]:
    """Each convolution of a backbone whose output BatchNorm takes, found by feeding these views,
    and where folding pays in batches of this size.

    None where the model has no backbone, or where folding changes what comes out: some
    architectures use what such a convolution gives elsewhere too.
    """
    if not isinstance(model, GraftedModel):
        return ()
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            folds, plain = _watch(model, views, batch_size)
            with with_forwards(folded_forwards(folds)):
                folded = model.flat_features(views)
    finally:
        for module, training in modes.items():
            module.training = training
    off = (folded - plain).abs().max() > TOLERANCE * plain.abs().max()
    return () if bool(off) else folds


def folded_forwards(folds: Sequence[Fold]) -> dict[nn.Module, Forward]:
    """What the modules run in place of their own forward passes where BatchNorm stands still; a
    convolution's own is that which it has now."""
    found: dict[nn.Module, Forward] = {}
    for convolution, norm in folds:
        if not norm.training:
            found[convolution] = _convolves(convolution, norm)
            found[norm] = _only_activates(norm)
    return found


def _convolves(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Forward:
    def forward(maps: torch.Tensor) -> Any:
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if convolution.bias is not None:
            shift = shift + convolution.bias * scale
        weight = convolution.weight * scale[:, None, None, None]
        return functional_call(convolution, {"weight": weight, "bias": shift}, (maps,))

    before = vars(convolution).get("forward")

    def own(maps: torch.Tensor) -> Any:  # functional_call comes by the instance's forward again
        running = vars(convolution).pop("forward")
        if before is not None:
            convolution.forward = before  # type: ignore[method-assign]
        try:
            return forward(maps)
        finally:
            convolution.forward = running  # type: ignore[method-assign]

    return own


def _only_activates(norm: nn.BatchNorm2d) -> Forward:
    """timm's BatchNorm holds its dropout and activation."""
    after = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]

    def forward(maps: torch.Tensor) -> torch.Tensor:
        for module in after:
            maps = module(maps)
        return maps

    return forward


def _pays(convolution: nn.Conv2d, values: int) -> bool:
    """Whether passes over so many values of maps cost more than folding this convolution."""
    return values > VALUES_PER_FOLD + VALUES_PER_WEIGHT * convolution.weight.numel()


def _watch(
    model: GraftedModel, views: torch.Tensor, batch_size: int
) -> tuple[list[Fold], torch.Tensor]:
    """Which BatchNorm is handed the very tensor that a convolution gave; and the features."""
    given: dict[int, tuple[nn.Conv2d, torch.Tensor]] = {}  # the tensor too: its id stays its own
    folds: list[Fold] = []

    def gave(module: Any, taken: Any, output: torch.Tensor) -> None:
        given[id(output)] = (module, output)

    def takes(module: Any, taken: Any) -> None:
        convolution, maps = given.get(id(taken[0]), (None, taken[0]))
        if convolution is None or not (module.affine and module.track_running_stats):
            return
        if _pays(convolution, batch_size * maps[0].numel()):
            folds.append((convolution, module))

    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(gave))
        if isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(takes))
    try:
        plain = model.flat_features(views)
    finally:
        for hook in hooks:
            hook.remove()
    return folds, plain
