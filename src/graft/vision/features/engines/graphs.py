"""Graphs that OpenVINO has compiled, kept in the store of features: converting and compiling one
takes longer than some hundred images do."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from graft.vision.errors import OptionsError
from graft.vision.features import GRAPHS, WEIGHTS
from graft.vision.records import digest_of
from graft.vision.store import ArrayStore

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of precisions. Left to itself, it chooses by machine."""


def openvino() -> Any:
    """The package, in whose processes nobody is told.

    Its import alone would send word to its makers, unless a person has declined or the package that
    sends it is not there.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module("openvino")


def kept_graph(
    folder: Path | None, identity: Mapping[str, object], precision: str, convert: Callable[[], Any]
) -> Any:
    """The compiled graph of this identity from the store, or else compiled and kept there.

    What was damaged in the store is compiled again. Writing joins operations, after which last
    bits are others: so each graph is one that was written, kept or not.

    Args:
        folder: of the store; None keeps nothing.
        identity: all that decides what is converted; its ``weights`` are noted beside the graph,
            by which it is known who needs it: the rules of features name theirs alike.
        precision: fp32 or bf16.
        convert: gives the graph, to be compiled.

    Raises:
        OptionsError: where this CPU does not compute in this precision.
    """
    core = openvino().Core()
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    if folder is None:
        written = _written(core, convert(), settings)
        return core.import_model(written, "CPU", settings)
    store = ArrayStore(folder, GRAPHS, {"graphs": GRAPHS})
    key = digest_of({**identity, **settings, "machine": _machine(core)})
    if store.missing([key]):
        written = _written(core, convert(), settings)
        with store.writer() as writer:
            writer.add(key, np.frombuffer(written, np.uint8), {WEIGHTS: identity[WEIGHTS]})
    return core.import_model(store.read(key).tobytes(), "CPU", settings)


def _machine(core: Any) -> list[object]:
    """What a compiled graph is bound to."""
    asked = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    return [core.get_property("CPU", name) for name in asked]


def _written(core: Any, graph: Any, settings: Mapping[str, str]) -> bytes:
    compiled = core.compile_model(graph, "CPU", settings)
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if hint != settings["INFERENCE_PRECISION_HINT"]:
        raise OptionsError(
            "feature_extraction.precision 'bf16' is not to be had on this CPU",
            allowed="auto, fp32",
        )
    return bytes(compiled.export_model().getvalue())
