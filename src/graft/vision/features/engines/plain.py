"""Engines of torch itself: plain, compiled, and on CUDA."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graft.vision.model import GraftedModel
from graft.vision.records import Array


class TorchEngine:
    """Eager torch, laid out channels-last; bf16 by autocast.

    On a CPU that computes bf16 it takes half the time of fp32. Depthwise convolutions in fp32,
    which pay in training, do not here: without a way back they cost what the rest gains.
    """

    kind, device = "torch", "cpu"

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
            kept: of no use here: nothing is built that takes long.
        """
        self.name = f"{self.kind} {torch.__version__} {precision}"
        self.at_once, self._is_bf16 = batch_size, precision == "bf16"
        # A copy: another layout gives other last bits to whoever else uses the model.
        copied = copy.deepcopy(model.eval()).to(self.device)
        self._model = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, views: Array) -> Array:
        """(N, S, S, C) uint8 to (N, D) float32."""
        # Batches of one size only: kernels chosen by size would give other last bits.
        filled = np.zeros((max(len(views), self.at_once), *views.shape[1:]), np.uint8)
        filled[: len(views)] = views
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, self._is_bf16):
            batch = torch.from_numpy(filled).permute(0, 3, 1, 2)
            found = self._run(batch.to(self.device, non_blocking=True)).float().cpu().numpy()
        return found[: len(views)]

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        return self._model.flat_features(batch)


class CompiledEngine(TorchEngine):
    """torch.compile; needs a C++ compiler and a minute to start, so never chosen by itself."""

    kind = "compiled"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._compiled = torch.compile(self._model.flat_features, dynamic=True)

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self._compiled(batch)
        return features


class CudaEngine(TorchEngine):
    """Eager torch on CUDA."""

    kind, device = "cuda", "cuda"
