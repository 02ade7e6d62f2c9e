"""Boxes as truth and prediction tables tell them, and how much they overlap."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graft.vision.records import Array


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes of one image in px of its upright original.

    Attributes:
        xyxy: (M, 4) float64.
        class_ids: (M,) int.
        scores: (M,) float64 in 0..1; ones for truth.
    """

    xyxy: Array
    class_ids: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def areas(self) -> Array:
        """(M,) square px."""
        return (self.xyxy[:, 2] - self.xyxy[:, 0]) * (self.xyxy[:, 3] - self.xyxy[:, 1])

    def chosen(self, which: Array) -> "Boxes":
        """The boxes at these places, or where the mask is true."""
        return Boxes(self.xyxy[which], self.class_ids[which], self.scores[which])


def boxes_in(text: str, class_ids: Mapping[str, int]) -> Boxes:
    """Read a truth or a prediction; boxes of classes that are not in the table are left out."""
    said = json.loads(text)
    known = [i for i, name in enumerate(said["classes"]) if name in class_ids]
    xyxy = np.array(said["boxes_xyxy"], float).reshape(-1, 4)[known]
    names = [said["classes"][i] for i in known]
    scores = np.array(said.get("scores", np.ones(len(said["classes"]))), float)[known]
    return Boxes(xyxy, np.array([class_ids[name] for name in names], int), scores)


def overlaps(first: Boxes, second: Boxes) -> Array:
    """(D, G) intersection over union."""
    a, b = first.xyxy[:, None], second.xyxy[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    return shared / (first.areas[:, None] + second.areas[None] - shared)
