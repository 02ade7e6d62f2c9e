"""Engines behind one interface: uint8 views in, float32 features out; chosen by what is there."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import torch

from graft.vision.backbones.pyramid import Pyramid
from graft.vision.errors import OptionsError
from graft.vision.features import GRAPHS
from graft.vision.features.engines.openvino import OpenVinoEngine
from graft.vision.features.engines.plain import CompiledEngine, CudaEngine, TorchEngine
from graft.vision.model import GraftedModel
from graft.vision.records import Array
from graft.vision.runtime import computes_bf16_fast, device_name

__all__ = [
    "ENGINES",
    "Engine",
    "Precision",
    "available_engines",
    "choose_engine",
    "engine_identity",
]

Precision = Literal["auto", "fp32", "bf16"]


class Engine(Protocol):
    """Computes the features of frozen views."""

    name: str
    """With the version and the precision of what computes: other ones give other last bits."""
    at_once: int
    """Views that keep all of the machine busy."""

    def features(self, views: Array) -> Array:
        """(N, S, S, C) uint8 views to (N, D) float32."""


ENGINES: dict[str, Callable[[GraftedModel, int, int, str, Path | None], Engine]] = {
    "torch": TorchEngine,
    "compiled": CompiledEngine,
    "openvino": OpenVinoEngine,
    "cuda": CudaEngine,
}


def choose_engine(
    model: GraftedModel,
    size_px: int,
    batch_size: int,
    name: str = "auto",
    precision: Precision = "auto",
    kept: Path | None = None,
) -> Engine:
    """Build the engine asked for, or the fastest that this machine has.

    Args:
        kept: the folder of the store of features, where an engine may keep what takes it long.

    Raises:
        OptionsError: when the engine or the precision asked for is not to be had here.
    """
    available = available_engines()
    chosen, computed = _chosen(model, name, precision)
    if chosen not in available:
        raise OptionsError(
            f"feature_extraction.engine {chosen!r} is not to be had on this machine",
            allowed=", ".join(["auto", *available]),
        )
    return ENGINES[chosen](model, size_px, batch_size, computed, kept)


def engine_identity(model: GraftedModel, name: str = "auto", precision: Precision = "auto") -> str:
    """The name of the engine that `choose_engine` would build here, without building it."""
    chosen, computed = _chosen(model, name, precision)
    if chosen == "openvino":
        return f"openvino {version('openvino')} {GRAPHS} {computed}"
    return f"{chosen} {torch.__version__} {computed}"


def _chosen(model: GraftedModel, name: str, precision: Precision) -> tuple[str, str]:
    """Engine and precision, with nothing left to be chosen.

    Half precision is chosen for pooled features alone: the mean over a map takes its rounding out
    (mean cosine to fp32 of 0.9993 on photographs), and maps themselves keep it (0.995 to 0.999).
    """
    chosen = available_engines()[0] if name == "auto" else name
    if precision != "auto":
        return chosen, precision
    fast = computes_bf16_fast("cuda" if chosen == "cuda" else "cpu")
    return chosen, "bf16" if fast and not isinstance(model.backbone, Pyramid) else "fp32"


def available_engines() -> list[str]:
    """What this machine has, the fastest first."""
    gpu = ["cuda"] if device_name() == "cuda" else []
    openvino = ["openvino"] if find_spec("openvino") else []
    return [*gpu, *openvino, "torch", "compiled"]
