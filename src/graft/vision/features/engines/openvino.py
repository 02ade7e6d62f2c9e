"""OpenVINO on a CPU: the whole graph from uint8 views, normalisation and folded BatchNorm in it."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from graft.vision.backbones.weights import digest_state
from graft.vision.errors import OptionsError
from graft.vision.features import GRAPHS, WEIGHTS
from graft.vision.features.engines.graphs import kept_graph, openvino
from graft.vision.model import GraftedModel
from graft.vision.records import Array

PART = 4
"""Views of a request: what lies between the layers of so many stays in a core's cache. Lite0 takes
least of the CPU so, of 1 to 32; B0, ResNets, Inception and ViT differ by noise."""


class _FromViews(torch.nn.Module):
    """Takes views as they lie in memory, (N, S, S, C).

    The model is none of its parts, and its weights become constants of the trace: of each module
    among the parts torch would make a script module first, which takes as long as tracing does.
    """

    def __init__(self, model: GraftedModel) -> None:
        super().__init__()
        self._held = (model,)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self._held[0].flat_features(views.permute(0, 3, 1, 2))


@contextmanager
def _constant(model: GraftedModel) -> Iterator[None]:
    """Parameters that may learn cannot be constants of a graph."""
    learning = [each for each in model.parameters() if each.requires_grad]
    try:
        for each in learning:
            each.requires_grad_(False)
        yield
    finally:
        for each in learning:
            each.requires_grad_(True)


def _at_size(model: GraftedModel, size_px: int) -> GraftedModel:
    """Resample a position embedding once, by torch: OpenVINO would, and to other values."""
    inner = cast(Any, model.backbone.model)
    if not getattr(inner, "dynamic_img_size", False) or not hasattr(inner, "set_input_size"):
        return model
    model = copy.deepcopy(model)
    cast(Any, model.backbone.model).set_input_size(size_px)
    return model


def _identity(model: GraftedModel, shape: tuple[int, ...]) -> dict[str, object]:
    """All that decides what is converted."""
    return {
        "architecture": model.backbone.contract.architecture,
        "maps": getattr(model.backbone, "reductions", None),
        "contract": model.backbone.contract.model_dump(mode="json"),
        WEIGHTS: digest_state(dict(model.backbone.state_dict())),
        "shape": shape,
        "versions": [version(name) for name in ("openvino", "torch", "timm")],
    }


def _converted(model: GraftedModel, shape: tuple[int, ...]) -> Any:
    """Raises `OptionsError` for what OpenVINO cannot read."""
    example = torch.zeros(shape, dtype=torch.uint8)
    sized = _at_size(model, shape[1]).eval()
    try:
        with warnings.catch_warnings(), torch.no_grad(), _constant(sized):
            # OpenVINO reads models through torch.jit, which torch calls old.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # That sizes become constants is what is wanted.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            graph = _read_traced(_traced(sized, example), example)
    except Exception as error:  # what it cannot read, it refuses in many ways
        raise OptionsError(
            f"OpenVINO cannot read {model.backbone.contract.architecture}",
            found=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}",
            mend="set feature_extraction.engine to 'torch'",
        ) from error
    # What is frozen no longer says of what type its input is.
    graph.input().get_node().set_element_type(openvino().Type.u8)
    graph.reshape(list(shape))
    return graph


def _traced(model: GraftedModel, example: torch.Tensor) -> Any:
    # Left to itself, OpenVINO traces with a check that takes three times as long.
    traced = torch.jit.trace(_FromViews(model).eval(), example, check_trace=False)
    # A third of the operations are left, each of which takes long to read.
    return torch.jit.freeze(traced)


def _read_traced(traced: Any, example: torch.Tensor) -> Any:
    """By OpenVINO's reader itself: with what lies around it, ``convert_model`` takes three times as
    long."""
    openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    reader = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=example)  # must outlive the reading
    return reader.convert(reader.load(decoder))


class OpenVinoEngine:
    """One request per core, each on a part of the views: no core waits for another.

    Attributes:
        at_once: of so many views each core has a part.
    """

    def __init__(
        self,
        model: GraftedModel,
        size_px: int,
        batch_size: int,
        precision: str = "fp32",
        kept: Path | None = None,
    ) -> None:
        """
        Args:
            kept: the folder of a store where compiled graphs are kept.
        """
        self.name = f"openvino {version('openvino')} {GRAPHS} {precision}"
        channels = model.backbone.contract.channels
        self._shape = (min(PART, batch_size), size_px, size_px, channels)
        identity = _identity(model, self._shape)
        graph = kept_graph(kept, identity, precision, lambda: _converted(model, self._shape))
        self._queue = openvino().AsyncInferQueue(graph)
        self.at_once = self._shape[0] * len(self._queue)
        self._queue.set_callback(self._collect)
        self._results: dict[int, Array] = {}

    def features(self, views: Array) -> Array:
        """(N, S, S, C) uint8 to (N, D) float32."""
        size = self._shape[0]
        for start in range(0, len(views), size):
            part = views[start : start + size]
            if len(part) < size:
                part = np.concatenate(
                    [part, np.zeros((size - len(part), *part.shape[1:]), np.uint8)]
                )
            self._queue.start_async({0: np.ascontiguousarray(part)}, userdata=start)
        self._queue.wait_all()
        parts = [self._results.pop(start) for start in sorted(self._results)]
        return np.concatenate(parts)[: len(views)]

    def _collect(self, request: object, start: int) -> None:
        self._results[start] = request.get_output_tensor(0).data.copy()  # type: ignore[attr-defined]
