"""Frozen maps under the objects of a truth, pooled to one vector for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graft.vision.data.shown_truths import VISIBLE_SHARE
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import StatedObject

WIDEST = 512
"""Numbers per object. What wider maps give is mixed down to so many by random weights, which keeps
distances (Johnson and Lindenstrauss, 1984): 100,000 objects then take 100 MB."""
AT_ONCE = 256
"""Objects of an image that are pooled together: how they cover its maps takes memory."""


class ImageOfObjects(NamedTuple):
    """``maps``: (D, side, side) each, of the plain view, which lies in its original by ``frame``.

    ``name`` and ``unit``: what the image is called, and what it must stay together with.
    """

    name: str
    unit: str
    maps: Sequence[Array]
    objects: Sequence[StatedObject]
    frame: Frame


@dataclass(frozen=True)
class PooledObjects:
    """The objects that views show, in the order of their images.

    Attributes:
        names, units: (N,) of the image that each lies in.
        numbers: (N,) of each among the objects of its image, from 1.
        class_ids: (N,).
        boxes_xyxy: (N, 4) in px of the upright original.
        vectors: (N, D) float16: the mean of each channel of each map over the object.
        stated: how many objects there are, those that views do not show among them.
    """

    names: Array
    units: Array
    numbers: Array
    class_ids: Array
    boxes_xyxy: Array
    vectors: Array
    stated: int


def pool_objects(images: Iterable[ImageOfObjects], size_px: int) -> PooledObjects:
    """Pool what lies under the objects of each image; its maps are let go before the next.

    An object of which a view shows less than `VISIBLE_SHARE` is left out: crops and tiles cut.
    """
    rows: list[tuple[str, str, int, int, tuple[float, ...]]] = []
    vectors: list[Array] = []
    stated = 0
    for image in images:
        stated += len(image.objects)
        for first in range(0, len(image.objects), AT_ONCE):
            some = image.objects[first : first + AT_ONCE]
            found, shown = _pooled(image.maps, some, image.frame, size_px)
            kept = np.flatnonzero(shown >= VISIBLE_SHARE).tolist()
            # Without the grids of objects, which would be as many pixels as the masks have.
            rows += [
                (image.name, image.unit, first + i + 1, some[i].class_id, some[i].box_xyxy)
                for i in kept
            ]
            vectors.append(_mixed_down(found[kept]).astype(np.float16))
    names, units, numbers, class_ids, boxes = zip(*rows, strict=True) if rows else ((),) * 5
    return PooledObjects(
        np.array(names, object),
        np.array(units, object),
        np.array(numbers, int),
        np.array(class_ids, int),
        np.array(boxes, float).reshape(-1, 4),
        np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float16),
        stated,
    )


def _pooled(
    maps: Sequence[Array], objects: Sequence[StatedObject], frame: Frame, size_px: int
) -> tuple[Array, Array]:
    """(M, all channels) float32 means, and the share of each object that the view shows."""
    sides = [one.shape[-1] for one in maps]
    covers = np.stack([_cover(one, frame, size_px, sides) for one in objects])
    ends = np.cumsum(sides)
    parts, shown = [], np.zeros(len(objects))
    for one, side, end in zip(maps, sides, ends, strict=True):
        weights = covers[:, end - side : end, end - side : end].reshape(len(objects), -1)
        shown = weights.sum(axis=1)
        sums = weights @ one.reshape(len(one), -1).T.astype(np.float32)
        parts.append(sums / np.maximum(shown, np.finfo(np.float32).tiny)[:, None])
    return np.concatenate(parts, axis=1), shown


def _cover(one: StatedObject, frame: Frame, size_px: int, sides: Sequence[int]) -> Array:
    """(P, P) float32: the share of an object that lies in each row and column of each map.

    P counts the rows of all maps, one map after the other: its own square on the diagonal is how
    it is covered. All at once, since small steps would take longer than what they spare.
    """
    x0, y0, x1, y1 = one.box_xyxy
    low = np.concatenate([np.arange(side) * (size_px / side) for side in sides])
    high = low + np.repeat(size_px / np.array(sides), sides)
    rows, columns = (np.arange(count + 1) / count for count in one.grid.shape)
    down = _shared(low - frame.top, high - frame.top, (y0 + (y1 - y0) * rows) * frame.scale_y)
    across = _shared(
        low - frame.left, high - frame.left, (x0 + (x1 - x0) * columns) * frame.scale_x
    )
    cover: Array = down @ one.grid.astype(np.float32) @ across.T
    return cover / np.float32(np.count_nonzero(one.grid))


def _shared(low: Array, high: Array, cells: Array) -> Array:
    """(places, cells) float32: the share of each cell that lies in each place, by their edges."""
    shared = np.minimum(high[:, None], cells[1:]) - np.maximum(low[:, None], cells[:-1])
    return (shared.clip(min=0) / (cells[1:] - cells[:-1])).astype(np.float32)


def _mixed_down(vectors: Array) -> Array:
    """At most `WIDEST` numbers each, by weights that are the same at every call."""
    width = vectors.shape[1]
    if width <= WIDEST:
        return vectors
    weights = np.random.default_rng(0).standard_normal((width, WIDEST), np.float32)
    mixed: Array = vectors @ (weights / np.float32(np.sqrt(width)))
    return mixed
