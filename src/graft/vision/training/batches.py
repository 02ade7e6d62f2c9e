"""Batches in an order and with contents that depend on seed and epoch alone."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch

from graft.vision.augmentation.sampling import Augmenter, sample_seed
from graft.vision.data.pixels import PixelReader
from graft.vision.model import as_tensor
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array, Truth


@dataclass
class Batch:
    """(N, C, S, S) uint8 views laid out channels-last, with truths and ids."""

    views: torch.Tensor
    truths: list[Truth]
    ids: list[str]


class TrainingBatches:
    """Augmented batches of one split; threads work ahead, the order stays."""

    def __init__(
        self,
        rows: pd.DataFrame,
        truths: Sequence[Truth],
        pixels: PixelReader,
        augmenter: Augmenter,
        batch_size: int,
        seed: int,
        workers: int,
        balance: Array | None = None,
    ) -> None:
        self._ids, self._digests = list(rows["id"]), list(rows["sha256"])
        self._truths, self._pixels, self._augmenter = list(truths), pixels, augmenter
        self._size, self._seed, self._workers = min(batch_size, len(rows)), seed, workers
        self._balance = balance

    def __len__(self) -> int:
        return max(1, len(self._ids) // self._size)

    def order(self, epoch: int) -> Array:
        """The sample numbers of an epoch; drawn by weight when sampling balances classes."""
        generator = np.random.default_rng(sample_seed(self._seed, epoch, "order"))
        if self._balance is None:
            return generator.permutation(len(self._ids))
        return generator.choice(len(self._ids), len(self._ids), p=self._balance)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All full batches of an epoch."""
        cv2.setNumThreads(1)
        order = self.order(epoch)
        chunks = [order[i * self._size : (i + 1) * self._size] for i in range(len(self))]
        with ThreadPoolExecutor(self._workers) as pool:
            ahead: deque[list[object]] = deque()
            for chunk in chunks:
                ahead.append([pool.submit(self._sample, int(i), epoch) for i in chunk])
                if len(ahead) > 2:
                    yield self._gather(ahead.popleft())
            while ahead:
                yield self._gather(ahead.popleft())

    def _sample(self, i: int, epoch: int) -> tuple[Array, Truth, str]:
        found = self._pixels.read(self._digests[i])
        view, truth = self._augmenter(found, self._truths[i], epoch, self._ids[i])
        return view, truth, self._ids[i]

    def _gather(self, futures: list[object]) -> Batch:
        views, truths, ids = zip(*(f.result() for f in futures), strict=True)  # type: ignore[attr-defined]
        return Batch(as_tensor(views), list(truths), list(ids))


def plain_batches(
    rows: pd.DataFrame,
    truths: Sequence[Truth],
    pixels: PixelReader,
    preprocessing: Preprocessing,
    batch_size: int,
) -> Iterator[Batch]:
    """The deterministic views of all rows, in order."""
    ids, digests = list(rows["id"]), list(rows["sha256"])
    for start in range(0, len(ids), batch_size):
        part = slice(start, start + batch_size)
        views = [view_of(pixels.read(sha256), preprocessing) for sha256 in digests[part]]
        yield Batch(as_tensor(views), list(truths[part]), ids[part])
