"""Half precision where it is fast, and full precision where it is not."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeGuard

import torch
from torch import nn

from graft.vision.model import Learner
from graft.vision.runtime import computes_bf16_fast, device_name
from graft.vision.training.activations import frugal_forwards
from graft.vision.training.depthwise import can_be_fast, fast_forward
from graft.vision.training.folding import Fold, find_folds, folded_forwards
from graft.vision.training.forwards import Forward, with_forwards
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.pointwise import can_be_product, product_forward


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
        self._batch_size = options.batch_size
        self._folds: Sequence[Fold] = ()

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        found: torch.device = self.fabric.device
        return found

    def meet(self, model: Learner, views: torch.Tensor) -> None:
        """Look at what can be computed faster in this model, by feeding it these views."""
        if self.device.type == "cpu":
            self._folds = find_folds(model, views, self._batch_size)

    @contextmanager
    def around(self, model: nn.Module) -> Iterator[None]:
        """Forward passes within compute in this format."""
        with ExitStack() as stack:
            if self.device.type == "cpu":
                stack.enter_context(with_forwards(frugal_forwards(model)))
                stack.enter_context(fast_convolutions(model))
            stack.enter_context(with_forwards(folded_forwards(self._folds)))
            if self.is_bf16:
                stack.enter_context(linear_head_in_fp32(model))
            stack.enter_context(self.fabric.autocast())
            yield

    def put(self, views: torch.Tensor) -> torch.Tensor:
        """The views on the device; the CPU goes on while a GPU fetches them."""
        if self.device.type == "cuda" and views.device.type == "cpu":
            return views.pin_memory().to(self.device, non_blocking=True)
        return views.to(self.device)

    def told(self) -> str:
        """The format in words; what a GPU does with fp32 is as torch is set, and not changed."""
        if self.device.type != "cuda":
            return f"{'bf16' if self.is_bf16 else 'fp32'} on {self.device.type}"
        what = "bf16; where it is fp32:" if self.is_bf16 else "fp32:"
        try:
            narrow = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        except RuntimeError:  # told by torch's newer names, each for itself
            return f"{what} TF32 as torch was told"
        kinds = ["TF32" if allowed else "fp32" for allowed in narrow]
        return f"{what} convolutions in {kinds[0]}, products in {kinds[1]}"

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss."""
        self.fabric.backward(loss)


@contextmanager
def fast_convolutions(model: nn.Module) -> Iterator[None]:
    """Depthwise and pointwise convolutions within compute their gradients as `depthwise` and
    `pointwise` do; depthwise ones that cannot, in fp32.

    On CPUs the library's own bf16 backward pass of those is many times slower than that of fp32,
    while dense convolutions gain; EfficientNets are made of both.
    """
    fast: dict[nn.Module, Forward] = {}
    wide: list[nn.Module] = []
    for module in model.modules():
        if can_be_product(module):
            fast[module] = product_forward(module)
        elif _is_depthwise(module):
            if can_be_fast(module):
                fast[module] = fast_forward(module)
            else:
                wide.append(module)
    with with_forwards(fast), _in_fp32(wide):
        yield


@contextmanager
def linear_head_in_fp32(model: nn.Module) -> Iterator[None]:
    """A head that is one linear layer computes in fp32 within, and so does the loss.

    It costs nothing beside a backbone. In bf16, gradients that nearly cancel over a batch would be
    told by rounding, and AdamW's steps know their signs better than their sizes.
    """
    with _in_fp32(m for name, m in model.named_children() if name == "head" and _is_linear(m)):
        yield


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _is_depthwise(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


@contextmanager
def _in_fp32(modules: Iterable[nn.Module]) -> Iterator[None]:
    with with_forwards({module: _widened(module.forward) for module in modules}):
        yield


def _widened(forward: Forward) -> Forward:
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
