"""A patch that many images carry at one place: what a hidden trigger looks like.

At each place those images are counted whose small window is nearly equal, though it stands out from
what is around it, hardly any known image shows the same, and the rest of the images differs.

It finds patches of 3 to 12 px, or of some 6 to 12 % of the side, that are laid at one place of the
image or of its corner; of plain squares, those whose colour is rare there; those of 3 px only where
files are stored without loss. It does not find those that are laid at changing places, blended in
faintly, spread over the image, or as large as an object; nor one that images of fewer units carry
than are asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from graft.vision.monitoring.options import IntakeOptions
from graft.vision.monitoring.sheets import WHOLE, Grid, grids
from graft.vision.records import Array

WIDE = 3
"""Cells of a window, on either side."""
STANDS_OUT = 40.0
"""Grey levels of contrast in a channel, within the window or to what is around it."""
EQUAL = 0.1
"""Share of its contrast by which a window may differ, as a root mean square."""
KNOWN_EQUAL = 0.2
"""The same for known images: what nature shows nearly is no patch."""
AGREES = 12.0
"""Grey levels by which a cell may differ and agree."""
LOCAL = 0.5
"""Share of the cells that may agree as well; above, the images are copies of each other."""
SEARCHED_IMAGES = 600
"""New images that a patch is searched in, drawn at random; it is then looked up in all."""
KNOWN_IMAGES = 1500
"""Known images that are looked at, drawn at random."""


@dataclass(frozen=True)
class Patch:
    """Where a patch lies, and who carries it.

    Attributes:
        rows: numbers of the new images that carry it.
        where: whole image, or a corner.
        left, top, side: in shares of the image, or of the cut-out corner.
        known: how many of ``known_images`` looked at show the same.
    """

    rows: tuple[int, ...]
    where: str
    left: float
    top: float
    side: float
    known: int
    known_images: int


@dataclass(frozen=True)
class _Window:
    """What one image shows at one place of one grid."""

    grid: int
    row: int
    column: int
    colours: Array
    contrast: float

    def shown_by(self, found: Grid, equal: float) -> Array:
        """Which images of a grid show the same, and that it stands out half as much at least."""
        difference = _colours(found.cells, self.row, self.column) - self.colours
        same = (difference**2).mean(axis=1) <= (equal * self.contrast) ** 2
        top, left = max(self.row - 1, 0), max(self.column - 1, 0)
        near = found.cells[:, top : self.row + WIDE + 1, left : self.column + WIDE + 1]
        contrast = _contrasts(near)[:, self.row - top, self.column - left]
        return np.asarray(same & (contrast >= self.contrast / 2))


def find_patch(
    known: Sequence[Array],
    new: Sequence[Array],
    new_units: Sequence[str],
    options: IntakeOptions,
    seed: int,
) -> Patch | None:
    """The patch that new images of most units carry, or None.

    Args:
        known, new: upright (H, W, C) uint8 pixels, as ingestion stores them; read when asked for.
        new_units: what each new image was drawn with; frames of one drive share what they show.
    """
    rng = np.random.default_rng(seed)
    searched = rng.permutation(len(new))[:SEARCHED_IMAGES]
    looked_at = rng.permutation(len(known))[:KNOWN_IMAGES]
    # Half of the share, for chance may deal fewer of them to those that are searched.
    least = max(options.patch_images_min, ceil(options.patch_share_min / 2 * len(searched)))
    if len(searched) < least or len(looked_at) == 0:
        return None
    there, before = (
        grids([side[i] for i in chosen]) for side, chosen in ((new, searched), (known, looked_at))
    )
    units = np.array(new_units)[searched]
    window = _most_carried(there, before, units, least, options)
    if window is None:
        return None
    rows = _carriers(window, new)
    if len(rows) < options.patch_share_min * len(new):
        return None
    place = there[window.grid]
    wide = place.cells.shape[1]
    seen = int(window.shown_by(before[window.grid], KNOWN_EQUAL).sum())
    left, top = window.column / wide, window.row / wide
    return Patch(rows, place.where, left, top, WIDE / wide, seen, len(looked_at))


def _most_carried(
    there: list[Grid], before: list[Grid], units: Array, least: int, options: IntakeOptions
) -> _Window | None:
    """The window that images of most units show, in as many images as asked for at least."""
    whole = next(found.cells for found in there if found.where == WHOLE)
    best, most = None, 0
    for number, found in enumerate(there):
        for window, carriers in _shared_windows(number, found, max(most, least - 1)):
            if len(set(units[carriers])) <= max(most, options.patch_images_min - 1):
                continue
            seen = window.shown_by(before[number], KNOWN_EQUAL).mean()
            carriers = _unlike(whole, carriers)
            count = len(set(units[carriers]))
            enough = len(carriers) >= least and count >= options.patch_images_min
            if enough and count > most and seen <= options.patch_known_share_max:
                best, most = window, count
    return best


def _shared_windows(number: int, found: Grid, most: int) -> Iterator[tuple[_Window, Array]]:
    """At each place the window that most others equal, and the images that show it, it first."""
    contrasts = _contrasts(found.cells)
    crowded = np.argwhere((contrasts >= STANDS_OUT).sum(axis=0) > most)
    for row, column in crowded.tolist():
        contrast = contrasts[:, row, column]
        rows = np.flatnonzero(contrast >= STANDS_OUT)
        colours, limit = _colours(found.cells, row, column)[rows], contrast[rows]
        equal = _distances(colours) <= (EQUAL * limit[:, None]) ** 2
        first = int(equal.sum(axis=1).argmax())
        window = _Window(number, row, column, colours[first], float(limit[first]))
        equal[first, first] = False
        yield window, np.concatenate([rows[[first]], rows[equal[first]]])


def _colours(cells: Array, row: int, column: int) -> Array:
    """(N, WIDE² · 3) of one place."""
    part = cells[:, row : row + WIDE, column : column + WIDE]
    return part.reshape(len(cells), -1)


def _contrasts(cells: Array) -> Array:
    """(N, P, Q) at each place, the greatest over channels: deviation within, or difference to the
    cells around."""
    low, wide = zip(*(_spans(side) for side in cells.shape[1:3]), strict=True)
    sums, squares = _running_sums(cells), _running_sums(cells.astype(np.float64) ** 2)
    inner = _boxes(sums, *low)
    mean = inner / WIDE**2
    within = np.sqrt(np.maximum(_boxes(squares, *low) / WIDE**2 - mean**2, 0))
    around = np.multiply.outer(*(span[1] - span[0] for span in wide)) - WIDE**2
    outer = (_boxes(sums, *wide) - inner) / around[:, :, None]
    return np.asarray(np.maximum(within, np.abs(mean - outer)).max(axis=3))


def _spans(side: int) -> tuple[Array, Array]:
    """(2, P) where windows begin and end, and the same with a cell more on either side."""
    low = np.arange(side - WIDE + 1)
    wider = np.maximum(low - 1, 0), np.minimum(low + WIDE + 1, side)
    return np.stack([low, low + WIDE]), np.stack(wider)


def _running_sums(cells: Array) -> Array:
    padded = np.pad(cells.astype(np.float64), ((0, 0), (1, 0), (1, 0), (0, 0)))
    return np.asarray(padded.cumsum(axis=1).cumsum(axis=2))


def _boxes(sums: Array, rows: Array, columns: Array) -> Array:
    """(N, P, Q, C) sums over all squares that begin and end there."""
    first, last = (sums[:, at] for at in rows)
    (left, right), across = columns, last - first
    return np.asarray(across[:, :, right] - across[:, :, left])


def _distances(colours: Array) -> Array:
    """(N, N) mean squared differences."""
    squares = (colours * colours).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * colours @ colours.T
    return np.asarray(np.maximum(apart, 0) / colours.shape[1])


def _unlike(whole: Array, carriers: Array) -> Array:
    """The first of these images, and those that differ from it beside what they share."""
    first, others = whole[carriers[0]], whole[carriers[1:]]
    agree = np.abs(others - first).max(axis=3) <= AGREES
    differ = agree.mean(axis=(1, 2)) <= LOCAL
    return np.concatenate([carriers[:1], carriers[1:][differ]])


def _carriers(window: _Window, new: Sequence[Array]) -> tuple[int, ...]:
    rows: list[int] = []
    for start in range(0, len(new), SEARCHED_IMAGES):
        numbers = range(start, min(start + SEARCHED_IMAGES, len(new)))
        found = grids([new[i] for i in numbers])[window.grid]
        rows += [start + int(i) for i in np.flatnonzero(window.shown_by(found, EQUAL))]
    return tuple(rows)
