"""Drawn tables of truth and predictions, and what pycocotools says of them."""

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.task import ClassTable

SIDE_PX = 800
COCO_NAMES = (
    *("map", "map50", "map75", "map_small", "map_medium", "map_large"),
    *("mar1", "mar10", "mar100"),
)


def class_table(count: int) -> ClassTable:
    """Classes c0, c1, ..."""
    return ClassTable(names=tuple(f"c{i}" for i in range(count)))


def words(boxes: Any, class_ids: Any, scores: Any = None) -> str:
    """JSON of a truth, or of a prediction where there are scores."""
    said: dict[str, Any] = {
        "boxes_xyxy": np.asarray(boxes, float).reshape(-1, 4).tolist(),
        "classes": [f"c{i}" for i in class_ids],
    }
    if scores is None:
        said["size_px"] = [SIDE_PX, SIDE_PX]
    else:
        said["scores"] = list(map(float, scores))
    return json.dumps(said)


def draw_table(
    rng: np.random.Generator,
    images: int,
    classes: int,
    objects: int,
    predictions: int,
    *,
    ties: bool,
) -> pd.DataFrame:
    """Objects of 8 to 220 px, and predictions around them; the last class has no objects.

    Some images have no objects, some no predictions; many predictions lie on one object. With
    ``ties`` scores and places are rounded, so that many are equal.
    """
    rows = []
    for _ in range(images):
        count, said = int(rng.integers(0, objects + 1)), int(rng.integers(0, predictions + 1))
        low = rng.uniform(0, 500, (count, 2))
        true = np.concatenate([low, low + np.exp(rng.uniform(2.1, 5.4, (count, 2)))], axis=1)
        true_ids = rng.integers(0, max(1, classes - 1), count)
        boxes, ids = rng.uniform(0, 90, (said, 4)), rng.integers(0, classes, said)
        boxes[:, 2:] += 100
        if count:
            on = rng.integers(0, count, said)
            boxes = true[on] + rng.normal(0, rng.choice([1, 4, 10]), (said, 4))
            ids = np.where(rng.random(said) < 0.8, true_ids[on], ids)
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = rng.random(said)
        if ties:
            true, boxes, scores = true.round(), boxes.round(), scores.round(1)
        rows.append({"truth": words(true, true_ids), "prediction": words(boxes, ids, scores)})
    return pd.DataFrame(rows, columns=["truth", "prediction"])


def coco_scores(table: pd.DataFrame, classes: ClassTable) -> dict[str, float]:
    """The summary of pycocotools; NaN where it says -1."""
    return dict(zip(COCO_NAMES, _coco(table, classes).stats[:9], strict=True))


def coco_class_precisions(table: pd.DataFrame, classes: ClassTable) -> Sequence[float]:
    """AP per class; NaN for a class without objects."""
    found = _coco(table, classes).eval["precision"][:, :, :, 0, 2]
    return [
        float(one.mean()) if (one > -1).any() else float("nan") for one in found.transpose(2, 0, 1)
    ]


def _coco(table: pd.DataFrame, classes: ClassTable) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": i} for i in range(len(table))]
    categories = [{"id": i} for i in range(len(classes))]
    with contextlib.redirect_stdout(io.StringIO()):
        truth, said = COCO(), COCO()
        for coco, column in ((truth, "truth"), (said, "prediction")):
            found = [
                annotation
                for i, text in enumerate(table[column])
                for annotation in _annotations(json.loads(text), i, classes)
            ]
            numbered = [{**one, "id": number + 1} for number, one in enumerate(found)]
            coco.dataset = {"images": images, "categories": categories, "annotations": numbered}
            coco.createIndex()
        evaluation = COCOeval(truth, said, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    evaluation.stats = np.where(evaluation.stats == -1, np.nan, evaluation.stats)
    return evaluation


def _annotations(said: dict[str, Any], image: int, classes: ClassTable) -> list[dict[str, Any]]:
    scores = said.get("scores", [1.0] * len(said["classes"]))
    return [
        {
            "image_id": image,
            "category_id": classes.names.index(name),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            "score": score,
        }
        for (x0, y0, x1, y1), name, score in zip(
            said["boxes_xyxy"], said["classes"], scores, strict=True
        )
    ]
