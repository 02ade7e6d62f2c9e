"""Work done by threads before it is asked for: what computes need not wait for what is read."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

Asked = TypeVar("Asked")
Made = TypeVar("Made")
CHUNKS_AHEAD = 2
THREADS = 2
"""Where nobody says how many."""


def made_ahead(
    make: Callable[[Asked], Made], chunks: Iterable[Sequence[Asked]], workers: int | None
) -> Iterator[list[Made]]:
    """What ``make`` gives of each chunk, in order; threads are two chunks ahead.

    With 0 ``workers`` all is made when it is asked for, by the thread that asks; None is THREADS.
    """
    cv2.setNumThreads(1)
    workers = THREADS if workers is None else workers
    if not workers:
        yield from ([make(asked) for asked in chunk] for chunk in chunks)
        return
    ahead: deque[list[Future[Made]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks:
            ahead.append([pool.submit(make, asked) for asked in chunk])
            if len(ahead) > CHUNKS_AHEAD:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]


def each_made_ahead(
    make: Callable[[Asked], Made], asked: Sequence[Asked], workers: int
) -> Iterator[Made]:
    """As `made_ahead`, one by one; at most three times ``workers`` (1 or more) are held."""
    chunks = (asked[start : start + workers] for start in range(0, len(asked), workers))
    yield from itertools.chain.from_iterable(made_ahead(make, chunks, workers))
