"""Large images as overlapping tiles: what cuts them, and what brings an image's tiles together.

With every other fit an image has one view, and all of this is that view.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product

import torch

from graft.vision.preprocessing import (
    Frame,
    Preprocessing,
    centred,
    cut_square,
    frame_of,
    view_of,
    with_channels,
)
from graft.vision.records import Array

OVERLAP = 0.25
"""The least share of a tile's side that it has in common with the next: what is smaller than this
is whole in one of them. With another value equal options give other pixels: raise
`preprocessing.RULE`."""


def images_at_once(options: Preprocessing) -> int:
    """Images whose outputs are held at a time: those of dense tasks are large."""
    return 1 if options.fit == "tiles" else 64


def views_of(pixels: Array, options: Preprocessing) -> Iterator[Array]:
    """The views that a prediction takes of upright (H, W, C) uint8 pixels.

    Yields:
        (size_px, size_px, channels) uint8: one view, or the tiles that cover the image, row by
        row; those of the last row and column end where the image ends.
    """
    if options.fit != "tiles":
        yield view_of(pixels, options)
        return
    pixels = with_channels(pixels, options.channels)
    for left, top in _corners(pixels.shape, options.size_px):
        yield cut_square(pixels, left, top, options)


def view_count(shape: tuple[int, ...], options: Preprocessing) -> int:
    """How many views `views_of` makes of (H, W, C) pixels."""
    return len(list(_corners(shape, options.size_px))) if options.fit == "tiles" else 1


def frames_of(
    stored: tuple[int, ...], width_px: int, height_px: int, options: Preprocessing
) -> list[Frame]:
    """The frames of the views that `views_of` makes of stored (H, W, C) pixels of an original."""
    plain = frame_of(stored, width_px, height_px, options)
    if options.fit != "tiles":
        return [plain]
    return [
        replace(plain, left=float(-left), top=float(-top), tile=number)
        for number, (left, top) in enumerate(_corners(stored, options.size_px))
    ]


def by_image(
    outputs: torch.Tensor, frames: Sequence[Frame]
) -> Iterator[tuple[torch.Tensor, Sequence[Frame]]]:
    """Per image its part of (V, ...) outputs, and the frames of its views."""
    if len(outputs) != len(frames):
        raise ValueError(f"{len(outputs)} outputs of {len(frames)} views")
    starts = [place for place, frame in enumerate(frames) if frame.tile == 0]
    for start, end in pairwise([*starts, len(frames)]):
        yield outputs[start:end], frames[start:end]


def _corners(shape: tuple[int, ...], size: int) -> Iterator[tuple[int, int]]:
    """(left, top) of each tile in (H, W, C) pixels; negative where the image is smaller."""
    for top, left in product(_starts(shape[0], size), _starts(shape[1], size)):
        yield left, top


def _starts(length: int, size: int) -> list[int]:
    """Where tiles begin along one side, at even distances."""
    if length <= size:
        return [-centred(length, size)]
    steps = math.ceil((length - size) / (size * (1 - OVERLAP)))
    return [i * (length - size) // steps for i in range(steps + 1)]
