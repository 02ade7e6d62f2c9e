"""Batches in an order and with contents that depend on seed and epoch alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch

from graft.vision.ahead import made_ahead
from graft.vision.augmentation.sampling import Augmenter, sample_seed
from graft.vision.data.pixels import PixelReader
from graft.vision.model import as_tensor
from graft.vision.records import Array, Truth


@dataclass
class Batch:
    """(N, C, S, S) uint8 views laid out channels-last, or (N, D) features; with truths and ids."""

    views: torch.Tensor
    truths: list[Truth]
    ids: list[str]

    @property
    def bytes(self) -> int:
        """Memory of views and truths."""
        return self.views.nbytes + sum(a.nbytes for truth in self.truths for a in truth.values())


MakeSample = Callable[[int, int], tuple[Array, Truth]]
"""(place of the sample, epoch) -> what the model is fed with, and the truth that lies in it."""


class TrainingBatches:
    """Samples of one split in batches; threads work ahead, the order stays.

    Args:
        ids: of the samples, by place.
        make: must depend on place and epoch alone.
        workers: threads that make samples ahead; with 0 they are made when asked for.
        balance: probability of each place, when sampling balances classes.
    """

    def __init__(
        self,
        ids: Sequence[str],
        make: MakeSample,
        batch_size: int,
        seed: int,
        workers: int,
        balance: Array | None = None,
    ) -> None:
        self._ids, self._make = list(ids), make
        self.size, self._seed, self._workers = min(batch_size, len(ids)), seed, workers
        self._balance = balance

    def __len__(self) -> int:
        return max(1, len(self._ids) // self.size)

    def order(self, epoch: int) -> Array:
        """The sample numbers of an epoch; drawn by weight when sampling balances classes."""
        generator = np.random.default_rng(sample_seed(self._seed, epoch, "order"))
        if self._balance is None:
            return generator.permutation(len(self._ids))
        return generator.choice(len(self._ids), len(self._ids), p=self._balance)

    def example(self) -> torch.Tensor:
        """What a model is fed with, of the first sample alone."""
        return as_tensor([self._make(0, 0)[0]])

    def epoch(self, epoch: int, size_px: int | None = None) -> Iterator[Batch]:
        """All full batches of an epoch; views are shrunk to a side of ``size_px``."""
        order = [int(place) for place in self.order(epoch)]
        chunks = [order[i * self.size : (i + 1) * self.size] for i in range(len(self))]

        def make(place: int) -> tuple[Array, Truth, str]:
            view, truth = self._make(place, epoch)
            return view if size_px is None else shrunk(view, size_px), truth, self._ids[place]

        for made in made_ahead(make, chunks, self._workers):
            views, truths, ids = zip(*made, strict=True)
            yield Batch(as_tensor(views), list(truths), list(ids))


def shrunk(view: Array, size_px: int) -> Array:
    """A (S, S, C) uint8 view at a smaller side, by area averaging."""
    if len(view) == size_px:
        return view
    found = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return found if found.ndim == 3 else found[:, :, None]


def augmented_samples(
    rows: pd.DataFrame, truths: Sequence[Truth], pixels: PixelReader, augmenter: Augmenter
) -> MakeSample:
    """Views of stored pixels with their truths, as the policy draws them for each epoch."""
    ids, digests = list(rows["id"]), list(rows["sha256"])

    def make(place: int, epoch: int) -> tuple[Array, Truth]:
        return augmenter(pixels.read(digests[place]), truths[place], epoch, ids[place])

    return make


def plain_batches(
    rows: pd.DataFrame,
    truths: Sequence[Truth],
    pixels: PixelReader,
    plain: Augmenter,
    batch_size: int,
) -> Iterator[Batch]:
    """All rows in order, by a policy without chance: the deterministic views and their truths."""
    make, ids = augmented_samples(rows, truths, pixels, plain), list(rows["id"])
    for start in range(0, len(ids), batch_size):
        places = range(start, min(start + batch_size, len(ids)))
        views, found = zip(*(make(place, 0) for place in places), strict=True)
        yield Batch(as_tensor(views), list(found), [ids[place] for place in places])
