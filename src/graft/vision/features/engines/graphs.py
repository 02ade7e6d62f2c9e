"""Graphs that OpenVINO has converted, kept in the store of features: converting one takes longer
than some hundred images do."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from graft.vision.records import digest_of
from graft.vision.store import ArrayStore

NAMESPACE = "graphs-1"
PARTS = ("xml", "bin")
"""How a graph is computed, and its weights."""
WEIGHTS = "weights"


def openvino() -> Any:
    """The package, in whose processes nobody is told.

    Its import alone would send word to its makers, unless a person has declined or the package that
    sends it is not there.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module("openvino")


def kept_graph(
    folder: Path | None, identity: Mapping[str, object], convert: Callable[[], Any]
) -> Any:
    """The graph of this identity from the store, or else converted and kept there.

    What was damaged in the store is converted again. Writing joins operations, after which last
    bits are others: so each graph is one that was written, kept or not.

    Args:
        folder: of the store; None keeps nothing.
        identity: all that decides what is converted; its ``weights`` are noted beside the graph,
            by which it is known who needs it: the rules of features name theirs alike.
    """
    if folder is None:
        return _read(*_written(convert()))
    store, name = ArrayStore(folder, NAMESPACE, {"graphs": NAMESPACE}), digest_of(dict(identity))
    keys = [f"{name}.{part}" for part in PARTS]
    if store.missing(keys):
        with store.writer() as writer:
            for key, part in zip(keys, _written(convert()), strict=True):
                meta = {WEIGHTS: identity[WEIGHTS]}
                writer.add(key, np.frombuffer(part, np.uint8), meta)
    return _read(*(store.read(key).tobytes() for key in keys))


def _read(xml: bytes, weights: bytes) -> Any:
    return openvino().Core().read_model(xml, weights)


def _written(graph: Any) -> list[bytes]:
    """OpenVINO writes into files alone; weights keep all their bits."""
    with TemporaryDirectory() as scratch:
        openvino().save_model(graph, Path(scratch, "graph.xml"), compress_to_fp16=False)
        return [Path(scratch, f"graph.{part}").read_bytes() for part in PARTS]
