"""Half precision where it is fast, and full precision where it is not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from graft.vision.runtime import computes_bf16_fast, device_name
from graft.vision.training.options import FineTuningOptions


class Precision:
    """Device and number format of a training; weights stay in fp32 either way.

    ``auto`` takes bf16 where the device computes it fast: most GPUs, and CPUs with AMX or AVX-512
    BF16. Lightning Fabric carries both.
    """

    def __init__(self, options: FineTuningOptions) -> None:
        device = device_name()
        asked = options.precision
        self.is_bf16 = asked == "bf16" or (asked == "auto" and computes_bf16_fast(device))
        self.fabric = _fabric(device, "bf16-mixed" if self.is_bf16 else "32-true")

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        found: torch.device = self.fabric.device
        return found

    @contextmanager
    def around(self, model: nn.Module) -> Iterator[None]:
        """Forward passes within compute in this format."""
        with ExitStack() as stack:
            if self.is_bf16 and self.device.type == "cpu":
                stack.enter_context(depthwise_in_fp32(model))
            stack.enter_context(self.fabric.autocast())
            yield

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss."""
        self.fabric.backward(loss)


@contextmanager
def depthwise_in_fp32(model: nn.Module) -> Iterator[None]:
    """Depthwise convolutions within compute in fp32, whatever autocast says.

    On CPUs their bf16 backward pass is several times slower than that of fp32, while pointwise and
    dense convolutions gain; EfficientNets are made of both.
    """
    found = [module for module in model.modules() if _is_depthwise(module)]
    for module in found:
        module.forward = _in_fp32(module.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in found:
            del module.forward  # the class's own is met again


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


def _in_fp32(forward: Any) -> Any:
    def wrapped(maps: torch.Tensor) -> torch.Tensor:
        with torch.autocast(maps.device.type, enabled=False):
            found: torch.Tensor = forward(maps.float())
        return found

    return wrapped


def _fabric(device: str, precision: str) -> Any:
    import logging
    import warnings

    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of bf16 each time
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
