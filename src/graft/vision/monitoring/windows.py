"""Windows: so many units, drawn whole, of the images that there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.sparse import csr_matrix

from graft.vision.records import Array

WINDOWS_AT_ONCE = 128
"""Bounds the memory."""


@dataclass(frozen=True)
class Units:
    """Which unit each image belongs to. ``number``: (N,) int, from 0; ``count`` units."""

    number: Array
    count: int

    @property
    def sizes(self) -> Array:
        """(count,) images of each unit."""
        return np.bincount(self.number, minlength=self.count)

    def rows_of(self, chosen: Array) -> Array:
        """The row numbers of the images of these units."""
        return np.flatnonzero(np.isin(self.number, chosen))

    def sums(self, values: Array) -> Array:
        """(count, F) sums of (N, F) values over the images of each unit."""
        rows = np.arange(len(self.number))
        shape = (self.count, len(rows))
        member = csr_matrix((np.ones(len(rows), values.dtype), (self.number, rows)), shape=shape)
        return np.asarray(member @ values)


def number_units(names: Sequence[str]) -> Units:
    """Number the units in the order of their names."""
    found, number = np.unique(np.array(names, dtype=str), return_inverse=True)
    return Units(number, len(found))


def pool(known: Sequence[str], new: Sequence[str]) -> Units:
    """The units of both sides, the known ones first; a name on both sides is two units."""
    first, second = number_units(known), number_units(new)
    number = np.concatenate([first.number, second.number + first.count])
    return Units(number, first.count + second.count)


def deal_with_new_first(
    units: Units, new_units: int, times: int, rng: np.random.Generator
) -> Array:
    """(1 + times, new_units) int: the units of each window, each once; first the new ones, which
    are the last of the pool, then as many dealt at random."""
    keys = rng.random((times, units.count), dtype=np.float32)
    dealt = np.argpartition(keys, new_units - 1, axis=1)[:, :new_units]
    theirs = np.arange(units.count - new_units, units.count)
    return np.concatenate([theirs[None, :], dealt])


def ways(units: int, wanted: int) -> int:
    """How many different windows there are."""
    return comb(units, wanted)


def mean_gaps(sums: Array, sizes: Array, windows: Array) -> Array:
    """(W, F): mean over the images of each window, less the mean over all others.

    Args:
        sums: (U, F) of each unit.
        sizes: (U,) images of each unit.
        windows: (W, K) units of each window.
    """
    total, images = sums.sum(axis=0), sizes.sum()
    gaps = []
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        part = windows[start : start + WINDOWS_AT_ONCE]
        ends = np.arange(len(part) + 1) * part.shape[1]
        ones = np.ones(part.size, sums.dtype)
        chosen = csr_matrix((ones, part.ravel(), ends), shape=(len(part), len(sums)))
        inside = np.asarray(chosen @ sums)
        count = np.asarray(chosen @ sizes.astype(sums.dtype))[:, None]
        gaps.append(inside / count - (total - inside) / (images - count))
    return np.concatenate(gaps)
