"""From heat maps to a place in the upright original."""

import json
from collections.abc import Sequence

import pandas as pd
import torch

from graft.vision.preprocessing import Frame
from graft.vision.task import ClassTable
from graft.vision.tasks.key_points.model import REDUCTION


def predict(
    outputs: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> pd.DataFrame:
    """One row per image: ``prediction`` (JSON of ``point_xy`` in px and ``class``), ``score``."""
    found = [
        _predict_one(logits.float() / temperature, classes, frame)
        for logits, frame in zip(outputs, frames, strict=True)
    ]
    table = pd.DataFrame(found, columns=["prediction", "score"])
    return table.astype({"prediction": "str", "score": float})


def _predict_one(logits: torch.Tensor, classes: ClassTable, frame: Frame) -> tuple[str, float]:
    """The likeliest class, and the mean place of its heat map."""
    height, width = logits.shape[1:]
    shares = logits.flatten().softmax(0).view_as(logits)
    kind = int(shares.sum((1, 2)).argmax())
    heat = shares[kind] / shares[kind].sum()
    x = float(heat.sum(0) @ (torch.arange(width) + 0.5)) * REDUCTION
    y = float(heat.sum(1) @ (torch.arange(height) + 0.5)) * REDUCTION
    place = [
        round(min(max((x - frame.left) / frame.scale_x, 0.0), frame.width_px), 3),
        round(min(max((y - frame.top) / frame.scale_y, 0.0), frame.height_px), 3),
    ]
    words = json.dumps({"point_xy": place, "class": classes.names[kind]})
    return words, min(1.0, float(shares[kind].sum()))
