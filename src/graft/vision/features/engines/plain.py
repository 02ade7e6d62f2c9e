"""Engines of torch itself: plain, compiled, and on CUDA."""

import copy

import numpy as np
import torch

from graft.vision.model import GraftedModel
from graft.vision.records import Array


class TorchEngine:
    """Eager torch in fp32, laid out channels-last."""

    def __init__(self, model: GraftedModel, size_px: int, batch_size: int) -> None:
        self.name = f"torch {torch.__version__}"
        self._device, self._batch_size = "cpu", batch_size
        # A copy: another layout gives other last bits to whoever else uses the model.
        self._model = copy.deepcopy(model.eval()).to(memory_format=torch.channels_last)

    def features(self, views: Array) -> Array:
        """(N, S, S, C) uint8 to (N, D) float32."""
        # Batches of one size only: kernels chosen by size would give other last bits.
        filled = np.zeros((max(len(views), self._batch_size), *views.shape[1:]), np.uint8)
        filled[: len(views)] = views
        with torch.inference_mode():
            batch = torch.from_numpy(filled).permute(0, 3, 1, 2)
            found = self._run(batch.to(self._device, non_blocking=True)).float().cpu().numpy()
        return found[: len(views)]

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        return self._model.flat_features(batch)


class CompiledEngine(TorchEngine):
    """torch.compile; needs a C++ compiler and a minute to start, so never chosen by itself."""

    def __init__(self, model: GraftedModel, size_px: int, batch_size: int) -> None:
        super().__init__(model, size_px, batch_size)
        self.name = f"compiled {torch.__version__}"
        self._compiled = torch.compile(self._model.flat_features, dynamic=True)

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self._compiled(batch)
        return features


class CudaEngine(TorchEngine):
    """Eager torch on CUDA in bf16 autocast."""

    def __init__(self, model: GraftedModel, size_px: int, batch_size: int) -> None:
        super().__init__(model, size_px, batch_size)
        self.name = f"cuda {torch.__version__}"
        self._device = "cuda"
        self._model = self._model.to("cuda")

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            return self._model.flat_features(batch)
