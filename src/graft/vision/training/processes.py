"""Processes that make batches: whole ones, each with one thread, in the order asked for."""

import multiprocessing
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from graft.vision.errors import GraftError, TrainingError
from graft.vision.model import first_names
from graft.vision.records import Array, Truth
from graft.vision.training.batches import Asked, Batch, SampleMaker, joined_samples

AHEAD = 2
"""Batches that each process is ahead."""


@dataclass(frozen=True)
class Failed:
    """Of the sample ``name`` nothing could be made."""

    name: str
    error: Exception

    def to_raise(self) -> GraftError:
        """The error in one voice, naming the sample."""
        if isinstance(self.error, GraftError):
            return type(self.error)(f"{self.name}: {self.error}")
        return TrainingError(
            f"{self.name}: no view can be made of it",
            found=str(self.error)[:200],
            mend="look at this image, and at augmentation.transforms",
        )


@dataclass(frozen=True)
class Piped:
    """A batch on its way through a pipe: views (N, S, S, C), truths and ids."""

    views: Array
    truths: list[Truth]
    ids: list[str]

    def arrived(self) -> Batch:
        """The batch, whose views are the same memory."""
        return Batch(torch.from_numpy(self.views).permute(0, 3, 1, 2), self.truths, self.ids)

    def pin_memory(self) -> Batch:
        """The batch in memory that a GPU fetches by itself; torch's loaders ask for this name."""
        return self.arrived().pin_memory()


class Processes:
    """Processes that make batches, in the order in which they are asked for.

    Args:
        pin: whether batches come in memory that a GPU fetches by itself.
        shares: whether batches come in memory that processes share, or else through pipes, which
            copy them.

    Raises whatever keeps processes from starting, or from making anything at all.
    """

    def __init__(self, samples: SampleMaker, count: int, *, pin: bool, shares: bool = True) -> None:
        self._ids, self._pending = samples.ids, _Pending()
        self._at = torch.full((count, 2), -1, dtype=torch.int64).share_memory_()
        # A generator of its own: to draw from the usual one would change what a model drops out.
        self._loader: Any = DataLoader(
            _Views(samples, self._at, shares),
            sampler=self._pending,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=count,
            collate_fn=_as_it_is,
            pin_memory=pin,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            multiprocessing_context=_context(),
            worker_init_fn=_begin,
            generator=torch.Generator(),
        )
        self._run: Any = None
        try:
            list(self.made([Asked(0, ())] * count))  # of nothing: each says that it is there
        except BaseException:
            self.close()
            raise

    def made(self, asked: Sequence[Asked]) -> Iterator[Batch]:
        """A batch for each that is asked for.

        Raises:
            TrainingError: naming the samples where a process has died; a sample of which nothing
                can be made raises its own error, or this one.
        """
        self._pending.asked = asked
        try:
            self._run = iter(self._loader)
            for _ in asked:
                found = next(self._run)
                if isinstance(found, Failed):
                    raise found.to_raise() from found.error
                yield found.arrived() if isinstance(found, Piped) else found
        except RuntimeError as error:  # so torch says that a process is gone
            raise self._death(error) from error

    def close(self) -> None:
        """End the processes, whatever they are at."""
        if self._run is not None:
            self._run._shutdown_workers()  # torch has no other name for it
        self._run = self._loader = None

    def _death(self, error: RuntimeError) -> TrainingError:
        said = str(error).strip().partition("\n")[0]
        pids = {int(number) for number in re.findall(r"\d+", said)}
        making = [(pid, place) for pid, place in self._at.tolist() if place >= 0]
        theirs = [place for pid, place in making if pid in pids] or [place for _, place in making]
        names = first_names([self._ids[place] for place in theirs]) if theirs else "nothing"
        return TrainingError(
            "a process that augments has ended",
            found=f"{said}; it was making {names}",
            mend="look at these images; where memory ran out lower fine_tuning.workers (0 augments "
            "between the steps)",
        )


class _Pending:
    """What is to be made in this epoch, as a sampler that the loader asks anew each time."""

    def __init__(self) -> None:
        self.asked: Sequence[Asked] = ()

    def __iter__(self) -> Iterator[Asked]:
        return iter(self.asked)

    def __len__(self) -> int:
        return len(self.asked)


class _Views(Dataset[Any]):
    """Makes batches in a process, and notes there (pid, place) which sample it is at."""

    def __init__(self, samples: SampleMaker, at: torch.Tensor, shares: bool) -> None:
        self._samples, self._at, self._shares = samples, at, shares

    def __getitem__(self, asked: Asked) -> Batch | Piped | Failed:
        worker = get_worker_info()
        assert worker is not None
        at, made = self._at[worker.id], []
        at[0] = os.getpid()
        for place in asked.places:
            at[1] = place
            try:
                made.append(self._samples(asked, place))
            except Exception as error:
                if not isinstance(error, GraftError):  # of which nobody knows whether it travels
                    error = RuntimeError(f"{type(error).__name__}: {error}")
                return Failed(self._samples.ids[place], error)
        at[1] = -1
        batch = joined_samples(made) if made else Batch(torch.zeros(1, 1, 1, 1), [], [])
        if self._shares:
            return batch
        return Piped(batch.views.permute(0, 2, 3, 1).numpy(), batch.truths, batch.ids)


def _as_it_is(found: Any) -> Any:
    return found


def _context() -> Any:
    """Processes that know nothing of this one's CUDA: forked from a server that has imported, and
    not each with imports of its own, which take seconds."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "graft.vision.augmentation.policies"])
    return context


def _begin(worker: int) -> None:
    """One thread in each; and none outlives the training, however that ends."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
