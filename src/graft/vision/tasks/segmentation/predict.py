"""From logits to masks of the upright originals."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.data.masks import encode_mask
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import ClassTable

STRIPE_VALUES = 1 << 22
"""Enlarged probabilities that are held at once."""


def predict(
    outputs: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> pd.DataFrame:
    """One row per image: ``prediction`` and ``score``.

    The prediction is JSON with ``size_px`` ([width, height] of the upright original), ``names`` by
    number and ``png``, the base64 of a PNG of class numbers; the score is the mean probability of
    the class chosen, over pixels. What the view did not show (of a crop) takes the class at its
    edge. One image at a time, so that memory does not grow with their number.
    """
    found = [
        _predict_one(logits, classes, temperature, frame)
        for logits, frame in zip(outputs, frames, strict=True)
    ]
    table = pd.DataFrame(found, columns=["prediction", "score"])
    return table.astype({"prediction": "str", "score": float})


def _predict_one(
    logits: torch.Tensor, classes: ClassTable, temperature: float, frame: Frame
) -> tuple[str, float]:
    mask, score = mask_of(logits, temperature, frame)
    words = {
        "size_px": [frame.width_px, frame.height_px],
        "names": list(classes.names),
        "png": encode_mask(mask),
    }
    return json.dumps(words), score


def mask_of(logits: torch.Tensor, temperature: float, frame: Frame) -> tuple[Array, float]:
    """(H, W) uint8 classes at the original's size, and the mean probability of the class chosen.

    Probabilities are enlarged, not classes: edges come out finer than the (C, h, w) logits.
    """
    probabilities = (logits.float() / temperature).softmax(0)
    mask = np.empty((frame.height_px, frame.width_px), np.uint8)
    total, top = 0.0, 0
    for stripe in _enlarged(probabilities, frame):
        best, chosen = stripe.max(0)
        mask[top : top + len(chosen)] = chosen.numpy()
        total, top = total + float(best.double().sum()), top + len(chosen)
    return mask, min(1.0, total / mask.size)


def _enlarged(probabilities: torch.Tensor, frame: Frame) -> Iterator[torch.Tensor]:
    """(C, rows, W) of the original, stripe by stripe, by bilinear interpolation."""
    classes, height, width = probabilities.shape
    side = _view_side_px(frame, height)
    y = (torch.arange(frame.height_px) + 0.5) * frame.scale_y + frame.top
    x = (torch.arange(frame.width_px) + 0.5) * frame.scale_x + frame.left
    columns = _between(x * width / side, width)
    rows = max(1, STRIPE_VALUES // (classes * frame.width_px))
    for places in (y * height / side).split(rows):
        above, below, share = _between(places, height)
        first, last = int(above[0]), int(below[-1])
        lines = _blend(probabilities[:, first : last + 1], 2, *columns)
        yield _blend(lines, 1, above - first, below - first, share[:, None])


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
    """Side of the view that the frame tells of, which logits at a quarter of it know to 3 px.

    A frame's offsets are rounded down, so that it tells the side to 1 px.
    """
    width = round(frame.width_px * frame.scale_x + 2 * frame.left)
    height = round(frame.height_px * frame.scale_y + 2 * frame.top)
    told = max(width, height) if min(frame.left, frame.top) >= 0 else min(width, height)
    return 4 * cells if abs(4 * cells - told) <= 1 else told
