"""Models that find no memory for more than some images at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

SAID = "CUDA out of memory. Tried to allocate 2.00 GiB."


class _Narrow(torch.autograd.Function):
    """The identity; its way back finds no memory for more than ``most`` images."""

    @staticmethod
    def forward(context: Any, maps: torch.Tensor, most: int) -> torch.Tensor:
        context.most = most
        return maps.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> Any:
        if len(gradients[0]) > context.most:
            raise torch.OutOfMemoryError(SAID)
        return gradients[0], None


def _narrow(found: Any, most: int) -> Any:
    if isinstance(found, tuple):
        return tuple(_Narrow.apply(maps, most) for maps in found)
    return _Narrow.apply(found, most)


@contextmanager
def short_of_memory(model: nn.Module, most: int, where: str = "forward") -> Iterator[list[int]]:
    """``model`` holds ``most`` images at once within; gives the sizes that were tried."""
    tried: list[int] = []

    def look(module: nn.Module, taken: Any) -> None:
        tried.append(len(taken[0]))
        if where == "forward" and len(taken[0]) > most:
            raise torch.OutOfMemoryError(SAID)

    def after(module: nn.Module, taken: Any, found: Any) -> Any:
        return _narrow(found, most) if torch.is_grad_enabled() else found

    hooks = [model.register_forward_pre_hook(look)]
    if where == "backward":
        # What the head is fed with; the head itself where it is fed with what was stored.
        part: nn.Module = getattr(model, "backbone", model)
        hooks.append(part.register_forward_hook(after))
    try:
        yield tried
    finally:
        for hook in hooks:
            hook.remove()


def hold_norms(head: nn.Module) -> None:
    """BatchNorm of this head stands still from here on."""
    for norm in head.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.eval()
            norm.train = lambda mode=True, norm=norm: norm  # type: ignore[method-assign, misc]
