"""What the tiles of one image found, with each object said once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graft.vision.preprocessing import Frame
from graft.vision.records import Array

SAME = 0.5
"""Boxes of two tiles that overlap by more (IoU) tell of one object."""
BORDER_SHARE = 0.01
"""A box that ends within this share of a tile's side from where the tile cuts the image is cut."""
CONSIDERED = 2000
"""Of an image's boxes the best are joined, so that thousands of tiles take bounded time."""


@dataclass(frozen=True)
class _Found:
    """Boxes of one image: ``rows`` (M, 6) in px of the original, ``tile`` (M,), ``cut`` (M,)."""

    rows: Array
    tile: Array
    cut: Array

    def chosen(self, which: Array) -> "_Found":
        return _Found(self.rows[which], self.tile[which], self.cut[which])

    def rivals(self, row: Array, tile: int) -> Array:
        """(M,) whether a box is of the same class, and was found by another tile."""
        return (self.rows[:, 5] == row[5]) & (self.tile != tile)


def join_tiles(placed: Sequence[Array], seen: Array, frames: Sequence[Frame]) -> Array:
    """(M, 6) detections of an image, best first, at most as many as one view says.

    Only boxes of different tiles are joined: what one tile tells apart stays apart. Of whole boxes
    that overlap the best is said. One that a tile's border cuts gives way to a whole one that holds
    most of it. Where no tile shows an object whole, its parts become one box: those that agree
    about what both of their tiles show.

    Args:
        placed: per tile (D, 6) detections in px of the original.
        seen: (V, D, 6), the same in px of the tiles.
        frames: of the tiles.
    """
    found = _gather(placed, seen, frames)
    whole, cut = _thin(found.chosen(~found.cut)), found.chosen(found.cut)
    parts = cut.chosen(np.array([not _is_held(cut, i, whole) for i in range(len(cut.rows))], bool))
    joined = np.concatenate([whole.rows, _hulls(parts, [_shown(frame) for frame in frames])])
    return joined[np.argsort(-joined[:, 4], kind="stable")][: seen.shape[1]]


def _gather(placed: Sequence[Array], seen: Array, frames: Sequence[Frame]) -> _Found:
    """The best boxes of all tiles, best first, without the padding of outputs and of images."""
    rows = np.concatenate(list(placed))
    tile = np.repeat(np.arange(len(placed)), seen.shape[1])
    cut = np.concatenate([_is_cut(boxes, frame) for boxes, frame in zip(seen, frames, strict=True)])
    said = np.flatnonzero((rows[:, 4] > 0) & (rows[:, :2] < rows[:, 2:4]).all(axis=1))
    best = said[np.argsort(-rows[said, 4], kind="stable")][:CONSIDERED]
    return _Found(rows, tile, cut).chosen(best)


def _is_cut(boxes: Array, frame: Frame) -> Array:
    """(D,) whether a box ends where the tile ends and its image goes on."""
    border = BORDER_SHARE * frame.side_px
    right = frame.width_px * frame.scale_x + frame.left > frame.side_px
    below = frame.height_px * frame.scale_y + frame.top > frame.side_px
    return (
        ((frame.left < 0) & (boxes[:, 0] <= border))
        | ((frame.top < 0) & (boxes[:, 1] <= border))
        | (right & (boxes[:, 2] >= frame.side_px - border))
        | (below & (boxes[:, 3] >= frame.side_px - border))
    )


def _shown(frame: Frame) -> Array:
    """(4,) ``xyxy`` of what a tile shows, in px of the original."""
    corner = np.array([frame.left, frame.top])
    scale = np.array([frame.scale_x, frame.scale_y])
    return np.concatenate([-corner / scale, (frame.side_px - corner) / scale])


def _thin(found: _Found) -> _Found:
    """Without each box that overlaps a better one."""
    kept = np.ones(len(found.rows), bool)
    for i, row in enumerate(found.rows):
        if kept[i]:
            later = found.rivals(row, found.tile[i]) & (np.arange(len(kept)) > i)
            kept &= ~(later & (_iou(found.rows, row) > SAME))
    return found.chosen(kept)


def _is_held(cut: _Found, place: int, whole: _Found) -> bool:
    """Whether most of a box that was cut lies in a whole one."""
    row = cut.rows[place]
    share = _area(_shared(whole.rows, row)) / _area(row)
    return bool((whole.rivals(row, cut.tile[place]) & (share > 0.5)).any())


def _hulls(parts: _Found, shown: Sequence[Array]) -> Array:
    """(M, 6): parts of one object become the box around them, with the best score of them."""
    joined, left = [], np.ones(len(parts.rows), bool)
    while left.any():
        group = waiting = [int(np.flatnonzero(left)[0])]
        left[group] = False
        while waiting:
            near = np.any([_agree(parts, i, shown) for i in waiting], axis=0) & left
            waiting = list(np.flatnonzero(near))
            left[waiting] = False
            group = group + waiting
        rows = parts.rows[group]
        ends = [rows[:, :2].min(axis=0), rows[:, 2:4].max(axis=0), rows[0, 4:]]
        joined.append(np.concatenate(ends))
    return np.array(joined).reshape(-1, 6)


def _agree(parts: _Found, place: int, shown: Sequence[Array]) -> Array:
    """(M,) whether a part and this one tell the same of what both tiles show."""
    row, tile = parts.rows[place], parts.tile[place]
    common = _shared(np.array(shown)[parts.tile], shown[tile])
    return parts.rivals(row, tile) & (
        _iou(_shared(parts.rows, common), _shared(row, common)) > SAME
    )


def _shared(boxes: Array, other: Array) -> Array:
    """(M, 4) what boxes have in common with another, or each with its own; perhaps nothing."""
    least = np.maximum(boxes[..., :2], other[..., :2])
    return np.concatenate([least, np.minimum(boxes[..., 2:4], other[..., 2:4])], axis=-1)


def _area(boxes: Array) -> Array:
    return (boxes[..., 2:4] - boxes[..., :2]).clip(0).prod(axis=-1)


def _iou(boxes: Array, other: Array) -> Array:
    shared = _area(_shared(boxes, other))
    joined = _area(boxes) + _area(other) - shared
    return np.divide(shared, joined, out=np.zeros_like(shared), where=joined > 0)
