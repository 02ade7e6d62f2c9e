"""Which pairs may be copies: the nearest few of each image, by products of tiny pictures."""

import numpy as np
import pandas as pd

from graft.vision.data.near_copies import cells
from graft.vision.data.near_copies.thumbnails import ORIENTATIONS, SIDE, turned, undoing
from graft.vision.data.options import NearCopyOptions
from graft.vision.records import Array

SKETCH_SIDE = 8
"""Side of the tiny picture, in px."""
ROWS = 256
"""Images that are compared with all others at once; bounds the memory."""
CUT = 0.1
"""Share of the side that a window leaves out."""
_SPANS = ((0.0, 1.0), (0.0, 1 - CUT), (CUT, 1.0))
_MIDDLE = (CUT / 2, 1 - CUT / 2)
WINDOWS = np.array([(x, y) for x in _SPANS for y in _SPANS] + [(_MIDDLE, _MIDDLE)])
"""(10, 2, 2) start and end on x and on y, in shares of the side: the whole picture first, then less
a margin at each side, at each corner and all round. What is cut otherwise lies within half a margin
of one of them, which the sketches bear."""


def find_candidates(thumbs: Array, groups: Array, options: NearCopyOptions) -> pd.DataFrame:
    """Rows of first, second, turn, window, correlation: ``second``, turned, may show the window of
    ``first``.

    Of each image, over all orientations, the nearest few that reach the least correlation; a pair
    in one orientation once. Images of one group are no candidates: they stay together anyway.
    Each is compared with all others, by some 0.2 µs a pair; from `cells.IMAGES_MIN` images on with
    those in the cells nearest to it, so that time grows with the images and not with their square.

    Args:
        thumbs: (N, SIDE, SIDE) uint8.
        groups: (N,) names.
    """
    numbers = pd.factorize(groups)[0]
    if len(thumbs) >= cells.IMAGES_MIN:
        stacked = np.empty((len(WINDOWS), len(thumbs), SKETCH_SIDE**2), np.float32)
        for place, window in enumerate(WINDOWS):
            stacked[place] = _sketches(thumbs, window)
        asked = (_in_turn(stacked[0], turn) for turn in range(len(ORIENTATIONS)))
        return _each_once(cells.nearest_in_cells(stacked, asked, numbers, options))
    order = np.argsort(numbers, kind="stable")
    thumbs, numbers = thumbs[order], numbers[order]
    own = np.stack([np.searchsorted(numbers, numbers, side) for side in ("left", "right")], axis=1)
    sketches = [_sketches(thumbs, window) for window in WINDOWS]
    blocks = [slice(start, start + ROWS) for start in range(0, len(thumbs), ROWS)]
    rows = pd.concat([_nearest(sketches, own, block, options) for block in blocks])
    rows[["first", "second"]] = order[rows[["first", "second"]]]
    return _each_once(rows.reset_index(drop=True))


def _sketches(thumbs: Array, window: Array) -> Array:
    """(N, SKETCH_SIDE**2) float32 of unit length: correlation is a product of two."""
    x, y = (_areas(start, end) for start, end in window)
    starts = range(0, len(thumbs), ROWS)
    parts = (thumbs[start : start + ROWS].astype(np.float32) for start in starts)
    flat = np.concatenate([y @ part @ x.T for part in parts]).reshape(len(thumbs), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _areas(start: float, end: float) -> Array:
    """(SKETCH_SIDE, SIDE) float32: how much of each pixel lies in each equal part of a span."""
    edges = np.linspace(start, end, SKETCH_SIDE + 1)[:, None] * SIDE
    pixels = np.arange(SIDE)
    shares = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (np.maximum(shares, 0) / (edges[1:] - edges[:-1])).astype(np.float32)


def _nearest(
    sketches: list[Array], own: Array, block: slice, options: NearCopyOptions
) -> pd.DataFrame:
    """The candidates of a block of images; ``own`` bounds each image's group."""
    turns = range(len(ORIENTATIONS))
    asked = np.stack([_in_turn(sketches[0][block], turn) for turn in turns])
    found = [_greatest(_scores(asked[turn], sketches, own[block]), options) for turn in turns]
    rows = pd.concat(found, keys=turns, names=["turn"]).reset_index("turn")
    rows = rows.sort_values("correlation", ascending=False, kind="stable")
    rows = rows.groupby("second").head(options.neighbours)
    queries = asked[rows["turn"], rows["second"]]
    by_window = np.stack([(queries * others[rows["first"]]).sum(axis=1) for others in sketches])
    return rows.assign(second=rows["second"] + block.start, window=by_window.argmax(axis=0))


def _in_turn(sketches: Array, turn: int) -> Array:
    """(N, SKETCH_SIDE**2): sketches of whole pictures in one of the ORIENTATIONS."""
    squares = sketches.reshape(-1, SKETCH_SIDE, SKETCH_SIDE)
    return turned(squares, turn).reshape(len(squares), -1)


def _scores(asked: Array, sketches: list[Array], own: Array) -> Array:
    """(K, N) greatest correlation of (K, SKETCH_SIDE**2) over the windows; -1 in its own group."""
    best = asked @ sketches[0].T
    for others in sketches[1:]:
        np.maximum(best, asked @ others.T, out=best)
    for scores, (start, end) in zip(best, own, strict=True):
        scores[start:end] = -1
    return best


def _greatest(scores: Array, options: NearCopyOptions) -> pd.DataFrame:
    """first (a column), second (a row), correlation of each row's greatest; strikes them out."""
    every = np.arange(len(scores))
    found = []
    for _ in range(options.neighbours):
        columns = scores.argmax(axis=1)
        greatest = scores[every, columns]
        scores[every, columns] = -1
        found.append(pd.DataFrame({"first": columns, "second": every, "correlation": greatest}))
        if greatest.max() < options.candidate_correlation:
            break
    rows = pd.concat(found)
    return rows[rows["correlation"] >= options.candidate_correlation]


def _each_once(rows: pd.DataFrame) -> pd.DataFrame:
    """The better of two that say the same: a within b, and b within a."""
    undone = np.array([undoing(turn) for turn in range(len(ORIENTATIONS))])
    ends = np.sort(rows[["first", "second"]], axis=1)
    turn = np.where(rows["first"] < rows["second"], rows["turn"], undone[rows["turn"]])
    rows = rows.assign(low=ends[:, 0], high=ends[:, 1], way=turn)
    rows = rows.sort_values("correlation", ascending=False, kind="stable")
    rows = rows.drop_duplicates(["low", "high", "way"]).sort_values(["low", "high", "way"])
    return rows[["first", "second", "turn", "window", "correlation"]].reset_index(drop=True)
