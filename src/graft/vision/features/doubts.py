"""Truths that are likely wrong: what a model that has not seen an image finds least likely.

Method: ranking by self-confidence out of fold, Northcutt, Jiang and Chuang, Confident learning:
Estimating uncertainty in dataset labels (2021). Nothing is changed or left out by it: people look.
"""

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.features.discriminant import judge_held_out
from graft.vision.features.objects import PooledObjects
from graft.vision.features.probe import HeldOut
from graft.vision.task import ClassTable

SHARE, MOST = 0.03, 100
"""Of the training images, or of the objects in them, and rows, that are named at the most."""


def doubted_truths(
    rows: pd.DataFrame, held_out: HeldOut | None, classes: ClassTable
) -> list[dict[str, Any]]:
    """The training images whose stated truth is least likely, the most doubtful first.

    Args:
        rows: ``id``, ``view`` and ``truth`` of each row that was held out, in its order; only
            plain views (0) are looked at.
        held_out: what was said of them; nothing is doubted where that is None.
        classes: those of ``held_out.outputs``.

    Returns:
        ``id``, ``stated`` (its classes), ``taken_for`` (the likeliest class) and ``held_out_loss``.
    """
    if held_out is None:
        return []
    plain = np.flatnonzero(rows["view"] == 0)
    count = min(MOST, math.ceil(SHARE * len(plain)))
    order = plain[np.argsort(-held_out.losses[plain], kind="stable")[:count]]
    return [
        {
            "id": str(rows["id"].iloc[place]),
            "stated": "|".join(json.loads(rows["truth"].iloc[place])["classes"]),
            "taken_for": classes.names[int(held_out.outputs[place].argmax())],
            "held_out_loss": round(float(held_out.losses[place]), 4),
        }
        for place in order
    ]


def doubted_objects(
    objects: PooledObjects, classes: ClassTable, folds: int
) -> tuple[list[dict[str, Any]], int]:
    """The objects that are taken for another class than the stated one, the most doubtful first.

    Returns:
        The same as `doubted_truths` per object, with its ``object`` (number in its image, from 1)
        and ``box_xyxy`` (px of the upright original); and how many objects could be judged: the
        share is of these. Nothing is doubted of a class that is too rare, or stands alone.
    """
    judged = judge_held_out(objects.vectors, objects.class_ids, objects.units, len(classes), folds)
    known = int(np.isfinite(judged.losses).sum())
    others = np.flatnonzero(np.isfinite(judged.losses) & (judged.likeliest != objects.class_ids))
    count = min(MOST, math.ceil(SHARE * known))
    order = others[np.argsort(-judged.losses[others], kind="stable")[:count]]
    return [
        {
            "id": str(objects.names[place]),
            "object": int(objects.numbers[place]),
            "box_xyxy": [round(float(edge), 1) for edge in objects.boxes_xyxy[place]],
            "stated": classes.names[objects.class_ids[place]],
            "taken_for": classes.names[judged.likeliest[place]],
            "held_out_loss": round(float(judged.losses[place]), 4),
        }
        for place in order
    ], known
