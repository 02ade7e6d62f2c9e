"""From logits to masks of the upright originals."""

import json
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.data.masks import encode_mask
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tiles import by_image

STRIPE_VALUES = 1 << 22
"""Enlarged probabilities that are held at once."""


def predict(
    outputs: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> pd.DataFrame:
    """One row per image: ``prediction`` and ``score``.

    The prediction is JSON with ``size_px`` ([width, height] of the upright original), ``names`` by
    number and ``png``, the base64 of a PNG of class numbers; the score is the mean probability of
    the class chosen, over pixels. What the view did not show (of a crop) takes the class at its
    edge; where tiles overlap, the mean of their probabilities decides. One image at a time, so that
    memory does not grow with their number.
    """
    found = [
        _predict_one(logits, classes, temperature, seen)
        for logits, seen in by_image(outputs, frames)
    ]
    table = pd.DataFrame(found, columns=["prediction", "score"])
    return table.astype({"prediction": "str", "score": float})


def _predict_one(
    logits: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> tuple[str, float]:
    mask, score = mask_of(logits, temperature, frames)
    words = {
        "size_px": [frames[0].width_px, frames[0].height_px],
        "names": list(classes.names),
        "png": encode_mask(mask),
    }
    return json.dumps(words), score


def mask_of(
    logits: torch.Tensor, temperature: float, frames: Sequence[Frame]
) -> tuple[Array, float]:
    """(H, W) uint8 classes at the original's size, and the mean probability of the class chosen.

    Probabilities are enlarged, not classes: edges come out finer than the logits, which are
    (V, C, h, w) of the views of one image.
    """
    probabilities = [(one.float() / temperature).softmax(0) for one in logits]
    mask = np.empty((frames[0].height_px, frames[0].width_px), np.uint8)
    total, top = 0.0, 0
    for stripe in _stripes(probabilities, frames):
        best, chosen = stripe.max(0)
        mask[top : top + len(chosen)] = chosen.numpy()
        total, top = total + float(best.double().sum()), top + len(chosen)
    return mask, min(1.0, total / mask.size)


def _stripes(
    probabilities: Sequence[torch.Tensor], frames: Sequence[Frame]
) -> Iterator[torch.Tensor]:
    """(C, rows, W) of the original, stripe by stripe."""
    width, height = frames[0].width_px, frames[0].height_px
    step = max(1, STRIPE_VALUES // (len(probabilities[0]) * width))
    for top in range(0, height, step):
        rows = range(top, min(top + step, height))
        if len(frames) == 1:
            yield _enlarged(probabilities[0], frames[0], rows, range(width))
        else:
            yield _mean(probabilities, frames, rows)


def _mean(
    probabilities: Sequence[torch.Tensor], frames: Sequence[Frame], rows: range
) -> torch.Tensor:
    """(C, rows, W): of each place the mean over the tiles that show it."""
    total = torch.zeros(len(probabilities[0]), len(rows), frames[0].width_px)
    tiles = torch.zeros(total.shape[1:])
    for values, frame in zip(probabilities, frames, strict=True):
        down = _shown(frame.top, frame.scale_y, frame.side_px, rows)
        across = _shown(frame.left, frame.scale_x, frame.side_px, range(frame.width_px))
        if down and across:
            lines = slice(down.start - rows.start, down.stop - rows.start)
            columns = slice(across.start, across.stop)
            total[:, lines, columns] += _enlarged(values, frame, down, across)
            tiles[lines, columns] += 1
    return total / tiles


def _shown(offset: float, scale: float, side_px: int, among: range) -> range:
    """Those rows or columns of the original whose centres a tile shows."""
    first = max(among.start, math.ceil(-offset / scale - 0.5))
    return range(first, max(first, min(among.stop, math.ceil((side_px - offset) / scale - 0.5))))


def _enlarged(
    probabilities: torch.Tensor, frame: Frame, rows: range, columns: range
) -> torch.Tensor:
    """(C, rows, columns) of the original, by bilinear interpolation."""
    _, height, width = probabilities.shape
    side = _view_side_px(frame, height)
    y = (torch.arange(rows.start, rows.stop) + 0.5) * frame.scale_y + frame.top
    x = (torch.arange(columns.start, columns.stop) + 0.5) * frame.scale_x + frame.left
    above, below, share = _between(y * height / side, height)
    first, last = int(above[0]), int(below[-1])
    lines = _blend(probabilities[:, first : last + 1], 2, *_between(x * width / side, width))
    return _blend(lines, 1, above - first, below - first, share[:, None])


def _blend(
    values: torch.Tensor, axis: int, first: torch.Tensor, second: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    return values.index_select(axis, first).lerp_(values.index_select(axis, second), share)


def _between(places: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The two cells whose centres a place lies between, and its share of the second."""
    centres = (places - 0.5).clamp(0, count - 1)
    first = centres.floor()
    second = (first + 1).clamp(max=count - 1)
    return first.long(), second.long(), centres - first


def _view_side_px(frame: Frame, cells: int) -> int:
    """Side of the view that the frame tells of, which logits at a quarter of it know to 3 px."""
    told = frame.side_px or _told_side_px(frame)
    return 4 * cells if abs(4 * cells - told) <= 1 else told


def _told_side_px(frame: Frame) -> int:
    """To 1 px: offsets are rounded down."""
    width = round(frame.width_px * frame.scale_x + 2 * frame.left)
    height = round(frame.height_px * frame.scale_y + 2 * frame.top)
    return max(width, height) if min(frame.left, frame.top) >= 0 else min(width, height)
