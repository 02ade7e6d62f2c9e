"""Batches in an order and with contents that depend on seed and epoch alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

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
    """(N, C, S, S) uint8 views laid out channels-last, or (N, D) features; with truths and ids.

    Views may lie on a device; truths do not.
    """

    views: torch.Tensor
    truths: list[Truth]
    ids: list[str]

    @property
    def bytes(self) -> int:
        """Memory of views and truths."""
        return self.views.nbytes + sum(a.nbytes for truth in self.truths for a in truth.values())

    def pin_memory(self) -> "Batch":
        """The same with views that a GPU fetches by itself; torch's loaders ask for this name."""
        return replace(self, views=self.views.pin_memory())


MakeSample = Callable[[int, int], tuple[Array, Truth]]
"""(place of the sample, epoch) -> what the model is fed with, and the truth that lies in it."""
Made = tuple[Array, Truth, str]
"""A view, its truth, and the sample's id."""


@dataclass(frozen=True)
class Asked:
    """What a batch is to be made of: these samples, by place, as an epoch shows them.

    ``size_px``: a side that views are shrunk to; None leaves them as they are.
    """

    epoch: int
    places: tuple[int, ...]
    size_px: int | None = None


@dataclass(frozen=True)
class SampleMaker:
    """Makes samples of batches; goes to other processes where ``make`` does."""

    make: MakeSample
    ids: Sequence[str]

    def __call__(self, asked: Asked, place: int) -> Made:
        view, truth = self.make(place, asked.epoch)
        size = asked.size_px
        return view if size is None else shrunk(view, size), truth, self.ids[place]


class TrainingBatches:
    """Samples of one split in batches; who makes them works ahead, the order stays.

    Args:
        ids: of the samples, by place.
        make: must depend on place and epoch alone.
        workers: as in `FineTuningOptions`: threads, unless `feeding.fed` lets processes do it.
        balance: probability of each place, when sampling balances classes.

    Attributes:
        made_by_processes: what makes batches in place of threads, while there is such.
    """

    def __init__(
        self,
        ids: Sequence[str],
        make: MakeSample,
        batch_size: int,
        seed: int,
        workers: int | None,
        balance: Array | None = None,
    ) -> None:
        self.samples = SampleMaker(make, list(ids))
        self.size, self._seed, self.workers = min(batch_size, len(ids)), seed, workers
        self._balance = balance
        self.made_by_processes: Callable[[Sequence[Asked]], Iterator[Batch]] | None = None

    def __len__(self) -> int:
        return max(1, len(self.samples.ids) // self.size)

    def order(self, epoch: int) -> Array:
        """The sample numbers of an epoch; drawn by weight when sampling balances classes."""
        generator = np.random.default_rng(sample_seed(self._seed, epoch, "order"))
        count = len(self.samples.ids)
        if self._balance is None:
            return generator.permutation(count)
        return generator.choice(count, count, p=self._balance)

    def example(self) -> torch.Tensor:
        """What a model is fed with, of the first sample alone."""
        return as_tensor([self.samples.make(0, 0)[0]])

    def epoch(self, epoch: int, size_px: int | None = None) -> Iterator[Batch]:
        """All full batches of an epoch; views are shrunk to a side of ``size_px``."""
        order = [int(place) for place in self.order(epoch)]
        parts = [tuple(order[i * self.size : (i + 1) * self.size]) for i in range(len(self))]
        asked = [Asked(epoch, places, size_px) for places in parts]
        if self.made_by_processes is not None:
            yield from self.made_by_processes(asked)
            return
        chunks = [[(each, place) for place in each.places] for each in asked]
        for made in made_ahead(lambda pair: self.samples(*pair), chunks, self.workers):
            yield joined_samples(made)


def joined_samples(made: Sequence[Made]) -> Batch:
    """A batch of these samples, in this order."""
    views, truths, ids = zip(*made, strict=True)
    return Batch(as_tensor(views), list(truths), list(ids))


def shrunk(view: Array, size_px: int) -> Array:
    """A (S, S, C) uint8 view at a smaller side, by area averaging."""
    if len(view) == size_px:
        return view
    found = cv2.resize(view, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return found if found.ndim == 3 else found[:, :, None]


@dataclass(frozen=True)
class AugmentedSamples:
    """Views of stored pixels with their truths, as the policy draws them for each epoch.

    Called with a place and an epoch; goes to other processes as it is.
    """

    ids: Sequence[str]
    digests: Sequence[str]
    truths: Sequence[Truth]
    pixels: PixelReader
    augmenter: Augmenter

    def __call__(self, place: int, epoch: int) -> tuple[Array, Truth]:
        pixels = self.pixels.read(self.digests[place])
        return self.augmenter(pixels, self.truths[place], epoch, self.ids[place])


def augmented_samples(
    rows: pd.DataFrame, truths: Sequence[Truth], pixels: PixelReader, augmenter: Augmenter
) -> AugmentedSamples:
    """The samples of these rows of a split manifest."""
    return AugmentedSamples(list(rows["id"]), list(rows["sha256"]), truths, pixels, augmenter)


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
