"""From detections in px of the view to words about the upright original."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tasks.detection.joining import join_tiles
from graft.vision.tiles import by_image

LEAST_SIDE_PX = 0.01
"""A box narrower than this after clipping lay beside the image, in its padding."""


def predict(
    outputs: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> pd.DataFrame:
    """One row per image: ``prediction`` (JSON of boxes, classes, scores, best first), ``score``.

    Args:
        outputs: (V, D, 6) detections ``x0, y0, x1, y1, score, class id``, padded with score 0.
        temperature: divides the log-odds of each score.
        frames: how each view lies in its upright original. What several tiles of one image show
            is said once, and at most D objects are said of an image.
    """
    said = [
        _words(_found(detections, seen), classes, temperature)
        for detections, seen in by_image(outputs, frames)
    ]
    return pd.DataFrame(
        {
            "prediction": pd.Series([json.dumps(words) for words in said], dtype="str"),
            "score": np.array([max([0.0, *words["scores"]]) for words in said], float),
        }
    )


def _found(detections: torch.Tensor, frames: Sequence[Frame]) -> Array:
    """(M, 6) detections of one image in px of the original, of (V, D, 6) in px of its views."""
    seen = detections.double().numpy()
    placed = [
        np.concatenate([in_original(one[:, :4], frame), one[:, 4:]], axis=1)
        for one, frame in zip(seen, frames, strict=True)
    ]
    return placed[0] if len(placed) == 1 else join_tiles(placed, seen, frames)


def _words(found: Array, classes: ClassTable, temperature: float) -> dict[str, list[Any]]:
    boxes = found[:, :4]
    sides = boxes[:, 2:] - boxes[:, :2]
    keep = np.flatnonzero((found[:, 4] > 0) & (sides > LEAST_SIDE_PX).all(axis=1))
    keep = keep[np.argsort(-found[keep, 4], kind="stable")]
    return {
        "boxes_xyxy": boxes[keep].round(3).tolist(),
        "classes": [classes.names[i] for i in found[keep, 5].astype(int)],
        "scores": _tempered(found[keep, 4], temperature).round(6).tolist(),
    }


def in_original(boxes: Array, frame: Frame) -> Array:
    """(M, 4) px of the view as px of the upright original, clipped to it."""
    offset = np.array([frame.left, frame.top] * 2)
    scale = np.array([frame.scale_x, frame.scale_y] * 2)
    limit = np.array([frame.width_px, frame.height_px] * 2, float)
    return np.clip((boxes - offset) / scale, 0.0, limit)


def _tempered(scores: Array, temperature: float) -> Array:
    """Scores with their log-odds divided; 0 and 1 stay."""
    if temperature == 1.0:
        return scores
    with np.errstate(divide="ignore"):
        odds = np.log(scores) - np.log1p(-scores)
    return 1 / (1 + np.exp(-odds / temperature))
