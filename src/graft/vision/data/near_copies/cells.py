"""The nearest few of each image among very many, of those in the cells nearest to it.

The sketches of all windows are shared out among cells by their nearest centre, and each asks in the
few cells whose centres are nearest to it (inverted files with multi-probing: Jégou, Douze and
Schmid, Product Quantization for Nearest Neighbor Search, 2011, section IV). What lies in no asked
cell is not found; near copies lie close together, and are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from graft.vision.data.options import NearCopyOptions
from graft.vision.records import Array

RULE = "cells-1"
"""Raised whenever other candidates are found among the same images."""
IMAGES_MIN = 5000
"""Images from which they are compared in cells; fewer are compared with all."""
PER_CELL = 50
"""Images for each centre; each has one sketch per window."""
PROBES = 8
"""Cells that a sketch asks in."""
_ROUNDS, _SAMPLES = 6, 20
"""Of k-means, and sketches for each centre that it looks at."""
_ROWS = 1024
"""Sketches that are compared at once; bounds the memory."""
_HELD = 1 << 20
"""Pairs that are held before all but the nearest few of each image are let go."""
_NOTHING = *(np.zeros(0, np.int64),) * 3, np.zeros(0, np.float32)


@dataclass(frozen=True)
class Cells:
    """Sketches of windows by cell.

    Attributes:
        centres: (K, D) of unit length.
        members: window * N + image, cell by cell.
        starts: (K + 1,) where each cell begins in ``members``.
    """

    centres: Array
    members: Array
    starts: Array

    def __getitem__(self, cell: int) -> Array:
        return self.members[self.starts[cell] : self.starts[cell + 1]]


def nearest_in_cells(
    sketches: Array, asked: Iterable[Array], groups: Array, options: NearCopyOptions
) -> pd.DataFrame:
    """Rows of first, second, turn, window, correlation: the nearest few of each image.

    Args:
        sketches: (W, N, D) float32 of unit length, of each window.
        asked: of each turn, (N, D) the whole pictures turned so.
        groups: (N,) numbers; images of one group are not compared.
    """
    cells = _shared_out(sketches)
    found = [
        _asking(sketches, turned, groups, cells, options).assign(turn=turn)
        for turn, turned in enumerate(asked)
    ]
    return _best(pd.concat(found), options.neighbours)


def _asking(
    sketches: Array, asked: Array, groups: Array, cells: Cells, options: NearCopyOptions
) -> pd.DataFrame:
    """What all images in one turn find, each in its cells; a pair by its best window."""
    flat, count = sketches.reshape(-1, sketches.shape[-1]), len(asked)
    parts, held = [_as_rows(*_NOTHING)], 0
    for members, second in _meetings(asked, cells):
        scores = asked[second] @ flat[members].T
        reached = np.flatnonzero(scores >= options.candidate_correlation)
        row, column = np.divmod(reached, len(members))
        window, first = np.divmod(members[column], count)
        apart = groups[first] != groups[second[row]]
        found = first, second[row], window, scores.ravel()[reached]
        parts.append(_as_rows(*(values[apart] for values in found)))
        held += len(parts[-1])
        if held > _HELD:
            parts = [_best(pd.concat(parts), options.neighbours)]
            held = 0
    return _best(pd.concat(parts), options.neighbours)


def _meetings(asked: Array, cells: Cells) -> Iterator[tuple[Array, Array]]:
    """Members of a cell, and the images that ask in it, a chunk at a time."""
    probed = _nearest_centres(asked, cells.centres, PROBES)
    askers = np.argsort(probed, axis=None, kind="stable")
    bounds = np.searchsorted(probed.ravel()[askers], np.arange(len(cells.centres) + 1))
    askers //= probed.shape[1]
    for cell in range(len(cells.centres)):
        for second in _chunks(askers[bounds[cell] : bounds[cell + 1]]):
            yield cells[cell], second


def _as_rows(first: Array, second: Array, window: Array, correlation: Array) -> pd.DataFrame:
    return pd.DataFrame(
        {"first": first, "second": second, "window": window, "correlation": correlation}
    )


def _best(rows: pd.DataFrame, neighbours: int) -> pd.DataFrame:
    """Of each image (and turn, where they have one) the nearest few, each by its best window."""
    pair = ["second", "first", *(["turn"] if "turn" in rows else [])]
    rows = rows.sort_values("correlation", ascending=False, kind="stable").drop_duplicates(pair)
    return rows[rows.groupby("second").cumcount() < neighbours]


def _shared_out(sketches: Array) -> Cells:
    count = sketches.shape[1]
    centres = _centres(sketches[0], max(1, count // PER_CELL))
    cells = np.concatenate([_nearest_centres(part, centres, 1)[:, 0] for part in sketches])
    members = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[members], np.arange(len(centres) + 1))
    return Cells(centres, members, starts)


def _centres(sketches: Array, count: int) -> Array:
    """(count, D) of unit length, by k-means on some of the sketches."""
    draw = np.random.default_rng(0)
    sample = sketches[draw.permutation(len(sketches))[: _SAMPLES * count]]
    centres = sample[:count].copy()
    for _ in range(_ROUNDS):
        own = _nearest_centres(sample, centres, 1)[:, 0]
        order = np.argsort(own, kind="stable")
        filled, starts = np.unique(own[order], return_index=True)
        centres[filled] = np.add.reduceat(sample[order], starts)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
    return centres


def _nearest_centres(sketches: Array, centres: Array, count: int) -> Array:
    """(N, count) int32 numbers of the nearest centres of each sketch."""
    count = min(count, len(centres))
    nearest = np.empty((len(sketches), count), np.int32)
    for rows in _chunks(np.arange(len(sketches))):
        scores = sketches[rows] @ centres.T
        if count == 1:
            nearest[rows, 0] = scores.argmax(axis=1)
        else:
            nearest[rows] = np.argpartition(scores, -count, axis=1)[:, -count:]
    return nearest


def _chunks(rows: Array) -> Iterator[Array]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
