"""A model that starts after its frozen stages, from what they gave and was stored.

How a backbone's parts follow each other is its own code's business, so that code runs as it is:
parts that are frozen give nothing, in the shape in which they gave something, and those whose
output is needed later give what was stored of it. Whether this is the same model is tried before it
is believed.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, TypeVar

import torch
from torch import nn

from graft.vision.backbones.backbone import stages_by_unit
from graft.vision.errors import HarmonyError
from graft.vision.model import Features, GraftedModel
from graft.vision.training.forwards import Forward, with_forwards
from graft.vision.training.precision import Precision

Key = TypeVar("Key")
MEND = "set fine_tuning.stored_views to 0"


class AfterFrozen(GraftedModel):
    """Another way into a model: it shares every tensor and name with it.

    ``forward(stored)`` takes (N, D), what `frozen_outputs` gives of (N, C, S, S) uint8 views.

    Args:
        frozen: the first stages, which no strategy ever moves.
        precision: of the training; what is stored was computed in it.

    Raises:
        HarmonyError: when the backbone does not give the same from stored outputs.
    """

    def __init__(
        self, model: GraftedModel, frozen: Collection[str], size_px: int, precision: Precision
    ) -> None:
        model.to(precision.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        super().__init__(model.backbone, model.head)
        self.to(precision.device).eval()
        self.precision = precision
        units = [u for u, stage in stages_by_unit(self._timm).items() if stage in frozen]
        self._last = units[-1]
        self._view = (len(self.backbone.mean), size_px, size_px)
        views = torch.randint(0, 256, (2, *self._view), generator=torch.Generator().manual_seed(0))
        views = views.to(torch.uint8).to(precision.device)
        precision.meet(model, views)
        with torch.no_grad():
            self._learn_shapes(views, units)
            self._try(views)

    @property
    def _timm(self) -> nn.Module:
        return self.backbone.model

    def frozen_outputs(self, views: torch.Tensor) -> torch.Tensor:
        """(N, D) of (N, C, S, S) uint8 views, in the precision of the training.

        float16 where that is bf16, of which it rounds what lies near 0 and lacks the largest; else
        float32.

        Raises:
            HarmonyError: when a value is too large for float16.
        """
        with torch.no_grad(), self.precision.around(self):
            outputs = self._capture(views, self._shapes)
        kind = torch.float16 if self.precision.is_bf16 else torch.float32
        flat = self._laid_flat(outputs, kind)
        if not flat.isfinite().all():
            raise HarmonyError(
                "the frozen stages give values that float16 cannot hold",
                allowed="up to 65504",
                mend="set fine_tuning.precision to fp32, or fine_tuning.stored_views to 0",
            )
        return flat

    def features(self, stored: torch.Tensor) -> Features:
        """What the head takes, of (N, D) stored outputs."""
        # Stands for the views: nothing reads it but its size.
        views = torch.zeros((), device=stored.device).expand(len(stored), *self._view)
        passing = self._passing(len(stored), stored.device)
        with with_forwards({**passing, **self._playing(stored)}):
            return self.backbone(views)

    def _passing(self, images: int, device: torch.device) -> dict[nn.Module, Forward]:
        found: dict[nn.Module, Forward] = {}
        for part, shape in self._passed.items():
            nothing = torch.zeros((), device=device).expand(images, *shape)
            found[part] = lambda *taken, nothing=nothing, **more: nothing
        return found

    def _playing(self, stored: torch.Tensor) -> dict[nn.Module, Forward]:
        lengths = [math.prod(shape) for shape in self._shapes.values()]
        found: dict[nn.Module, Forward] = {}
        for (unit, shape), part in zip(
            self._shapes.items(), stored.split(lengths, dim=1), strict=True
        ):
            maps = part.unflatten(1, shape).to(self._kind(unit, stored.device), copy=True)
            maps = maps.permute(0, 3, 1, 2) if unit in self._turned else maps
            found[self._timm.get_submodule(unit)] = lambda *taken, maps=maps, **more: maps
        return found

    def _kind(self, unit: str, device: torch.device) -> torch.dtype:
        return self._kinds[unit] if torch.is_autocast_enabled(device.type) else torch.float32

    def _learn_shapes(self, views: torch.Tensor, units: list[str]) -> None:
        """Which outputs are needed later: the last one, and any that is itself a feature."""
        before = {part: part for part in _parts_before(self._timm, self._last)}
        recorded, around = self._recorded(units), self.precision.around(self)
        with recorded as outputs, _recorded(before) as gave, around:
            found = GraftedModel.features(self, views)
        if self._last not in outputs:
            raise self._refusal("it is not called, or gives more than one tensor")
        features = _each(found)
        taken = [u for u in outputs if u == self._last or any(outputs[u] is o for o in features)]
        # They are stored as they lie in memory.
        self._turned = {u for u in taken if _lies_channels_last(outputs[u])}
        self._shapes = {u: self._as_it_lies(u, outputs[u]).shape[1:] for u in taken}
        self._kinds = {u: outputs[u].dtype for u in taken}
        self._passed = {part: output.shape[1:] for part, output in gave.items()}

    def _as_it_lies(self, unit: str, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.permute(0, 2, 3, 1) if unit in self._turned else outputs

    def _laid_flat(self, outputs: Mapping[str, torch.Tensor], kind: torch.dtype) -> torch.Tensor:
        laid = [self._as_it_lies(unit, outputs[unit]).flatten(1) for unit in self._shapes]
        return torch.cat([part.to(kind) for part in laid], dim=1)

    def _capture(self, views: torch.Tensor, units: Collection[str]) -> Mapping[str, torch.Tensor]:
        with self._recorded(units) as outputs:
            stop = self._timm.get_submodule(self._last).register_forward_hook(_stop)
            with stop, suppress(_ReachedError):
                GraftedModel.features(self, views)
        return outputs

    def _recorded(self, units: Collection[str]) -> AbstractContextManager[dict[str, torch.Tensor]]:
        return _recorded({unit: self._timm.get_submodule(unit) for unit in units})

    def _try(self, views: torch.Tensor) -> None:
        outputs = self._capture(views, self._shapes)
        try:
            found = self.features(self._laid_flat(outputs, torch.float32))
        except Exception as error:  # each family of models has its own ways to refuse
            raise self._refusal(f"{type(error).__name__}: {error}"[:120]) from error
        whole = GraftedModel.features(self, views)
        for wanted, one in zip(_each(whole), _each(found), strict=True):
            off = float((wanted - one).abs().max() / wanted.abs().max())
            if not off < 1e-4:
                raise self._refusal(f"features that lie {off:.2g} of the largest apart")

    def _refusal(self, found: str) -> HarmonyError:
        return HarmonyError(
            f"{self.backbone.contract.architecture} cannot start after {self._last}",
            found=found,
            allowed="a backbone whose parts follow each other, e.g. EfficientNet or ResNet",
            mend=MEND,
        )


class _ReachedError(Exception):
    """The last frozen part has spoken; what comes after it need not run."""


def _stop(module: Any, taken: Any, output: Any) -> None:
    raise _ReachedError


@contextmanager
def _recorded(modules: Mapping[Key, nn.Module]) -> Iterator[dict[Key, torch.Tensor]]:
    """What each module gives within, where that is one tensor."""
    outputs = dict[Key, torch.Tensor]()

    def record(key: Key, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            outputs[key] = output

    with ExitStack() as hooks:
        for key, module in modules.items():
            hook = module.register_forward_hook(lambda *said, key=key: record(key, said[-1]))
            hooks.callback(hook.remove)
        yield outputs


def _parts_before(model: nn.Module, last: str) -> list[nn.Module]:
    """What data meets before a unit: children in order, and numbered parts of its container."""
    first, _, number = last.partition(".")
    found: list[nn.Module] = []
    for name, child in model.named_children():
        inner = child.named_children() if isinstance(child, nn.Sequential | nn.ModuleList) else ()
        if name == first:
            return found + [part for at, part in inner if number and int(at) < int(number)]
        found += [child, *(part for _, part in inner)]
    return found


def _lies_channels_last(outputs: torch.Tensor) -> bool:
    return outputs.dim() == 4 and outputs.is_contiguous(memory_format=torch.channels_last)


def _each(features: Features) -> tuple[torch.Tensor, ...]:
    return features if isinstance(features, tuple) else (features,)
