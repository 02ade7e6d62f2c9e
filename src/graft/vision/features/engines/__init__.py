"""Engines behind one interface: uint8 views in, float32 features out; chosen by what is there."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

from graft.vision.errors import OptionsError
from graft.vision.features.engines.openvino import OpenVinoEngine
from graft.vision.features.engines.plain import CompiledEngine, CudaEngine, TorchEngine
from graft.vision.model import GraftedModel
from graft.vision.records import Array
from graft.vision.runtime import device_name

__all__ = ["ENGINES", "Engine", "available_engines", "choose_engine"]


class Engine(Protocol):
    """Computes the features of frozen views."""

    name: str
    """With the version of what computes: features of different engines differ in the last bits."""

    def features(self, views: Array) -> Array:
        """(N, S, S, C) uint8 views, N at most the batch size, to (N, D) float32."""


ENGINES: dict[str, Callable[[GraftedModel, int, int], Engine]] = {
    "torch": TorchEngine,
    "compiled": CompiledEngine,
    "openvino": OpenVinoEngine,
    "cuda": CudaEngine,
}


def choose_engine(model: GraftedModel, size_px: int, batch_size: int, name: str = "auto") -> Engine:
    """Build the engine asked for, or the fastest that this machine has.

    Raises:
        OptionsError: when the engine asked for is not to be had here.
    """
    available = available_engines()
    chosen = available[0] if name == "auto" else name
    if chosen not in available:
        raise OptionsError(
            f"feature_extraction.engine {chosen!r} is not to be had on this machine",
            allowed=", ".join(["auto", *available]),
        )
    return ENGINES[chosen](model, size_px, batch_size)


def available_engines() -> list[str]:
    """What this machine has, the fastest first."""
    gpu = ["cuda"] if device_name() == "cuda" else []
    openvino = ["openvino"] if find_spec("openvino") else []
    return [*gpu, *openvino, "torch", "compiled"]
