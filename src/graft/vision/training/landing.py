"""Batches that reach a GPU before its step asks for them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from graft.vision.training.batches import Batch


def landed(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches with their views on the device; on a GPU the next is copied during a step.

    Copies run on a stream of their own, out of pinned memory; the step's stream waits for its
    batch alone. On other devices batches are passed on as they are.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream, coming = torch.cuda.Stream(device), None
    for batch in batches:
        following = _sent(batch, device, stream)
        if coming is not None:
            yield _arrived(*coming)
        coming = following
    if coming is not None:
        yield _arrived(*coming)


def _sent(
    batch: Batch, device: torch.device, stream: torch.cuda.Stream
) -> tuple[Batch, torch.cuda.Event]:
    """The batch with views that are on their way, and what tells that they are there.

    The pinned memory may be let go of at once: torch keeps it until the copy is done.
    """
    on_cpu = batch.views.device.type == "cpu"
    pinned = batch.pin_memory() if on_cpu and not batch.views.is_pinned() else batch
    there = torch.cuda.Event()
    with torch.cuda.stream(stream):
        views = pinned.views.to(device, non_blocking=True)
        there.record(stream)
    return replace(batch, views=views), there


def _arrived(batch: Batch, there: torch.cuda.Event) -> Batch:
    """The batch for the current stream, which waits for it; the CPU does not."""
    current = torch.cuda.current_stream(batch.views.device)
    current.wait_event(there)
    # Made on another stream: its memory is not reused before this one is done with it.
    batch.views.record_stream(current)
    return batch
