"""Other forward passes for some modules of a model, for a while and with nothing left behind."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Forward = Callable[..., Any]


@contextmanager
def with_forwards(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Modules within run these in place of their own; whatever ran before is back afterwards."""
    before = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward  # type: ignore[method-assign]
        yield
    finally:
        for module, own in before.items():
            vars(module).pop("forward", None)  # the class's own is met again
            if own is not None:
                module.forward = own  # type: ignore[method-assign]


def as_autocast(maps: torch.Tensor) -> torch.Tensor:
    """In the number format of autocast, where it is on: it passes functions with gradients of their
    own by."""
    device = maps.device.type
    if torch.is_autocast_enabled(device):
        return maps.to(torch.get_autocast_dtype(device))
    return maps
