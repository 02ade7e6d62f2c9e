"""What a report shows of detection beside what every task has."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.records import Array
from graft.vision.task import ClassTable, Evidence, Figure
from graft.vision.tasks.detection.average_precision import AREAS_PX

SURE = 0.5
"""Score from which a prediction is counted, confused and drawn as said."""
WORDS = {
    "map": "Mean average precision: the area under each class's curve of precision by recall, over "
    "ten limits of overlap (IoU 0.50 to 0.95), as a mean over classes. 1 is perfect.",
    "map50": "The same, where an overlap (IoU) of 0.50 is enough: is it found at all?",
    "map75": "The same at IoU 0.75: does the box sit tight?",
    "map_small": "mAP of objects up to 32x32 px in the original.",
    "map_medium": "mAP of objects from 32x32 to 96x96 px.",
    "map_large": "mAP of objects from 96x96 px.",
    "mar1": "Mean average recall: the share of objects found by the best prediction per class and "
    "image.",
    "mar10": "The share of objects found by the best 10.",
    "mar100": "The share of objects found by the best 100.",
    "confusion": "Objects (rows) by the class of the box on them (columns), of boxes with score "
    "0.5 or more at IoU 0.5: blue is right, orange is wrong; the darker, the more of its row. "
    "The last column counts objects missed, the last row boxes invented where no object is.",
    "by_class": "AP is the area under its curve of precision by recall, over IoU 0.50 to 0.95 and, "
    "as AP50, at 0.50; recall is the share of its objects found by the best 100 boxes.",
    "calibration": "Of boxes told with score 0.8, 8 of 10 should lie on an object of their class "
    "(IoU 0.5): dots on the dashed line. Below it the model is too sure, above it too modest. "
    "The larger a dot, the more boxes it stands for.",
    "pictures": "The number is the F1 of the image's boxes (IoU 0.5, score 0.5 or more). Dashed: "
    "on the left objects missed, on the right boxes on no object of their class. Thin: predictions "
    "that are not sure, of score 0.2 to 0.5.",
    "attention": "Where the features speak for the boxes found, by the gradient of their scores' "
    "log-odds on every map (HiResCAM): from purple (little) to yellow (most); grey says nothing. A "
    "detector that looks beside its objects has learned their surroundings.",
}


def precision_recall(curves: pd.DataFrame) -> Figure:
    """From the table of `DetectionMetrics.curves`."""
    return Figure(
        "Precision and recall",
        "From the surest box to the least sure: how many of the objects are found (right) and how "
        "many of the boxes are right (up), at IoU 0.5. The best curve goes through the top right.",
        "lines",
        curves,
    )


def counts_per_image(counts: pd.DataFrame) -> Figure:
    """From the table of `DetectionMetrics.counts`."""
    found = counts.groupby(["objects", "predictions"]).size().rename("images").reset_index()
    found.columns = pd.Index(["objects that are there", "boxes said", "images"])
    return Figure(
        "Objects in each image",
        "Each dot is one or more images (the larger, the more): objects that are there and boxes "
        "of score 0.5 or more. Below the dashed line too few are found, above it too many.",
        "dots",
        found,
    )


def counts_per_class(classes: ClassTable, objects: Array, said: Array, right: Array) -> Figure:
    """From (N, C) counts per image and class."""
    off = np.abs(said - objects)
    images = len(objects)
    return Figure(
        "Counts by class",
        "Boxes of score 0.5 or more against the objects that are there. Right is a box on an "
        "object of its class (IoU 0.5): an object that was given another class is missed here, "
        "and its box wrong. Miscount: by how many the count of an image is off, in the mean.",
        "table",
        pd.DataFrame(
            {
                "class": classes.names,
                "objects": objects.sum(axis=0),
                "boxes said": said.sum(axis=0),
                "right": right.sum(axis=0),
                "missed": (objects - right).sum(axis=0),
                "wrong or invented": (said - right).sum(axis=0),
                "miscount per image": off.mean(axis=0) if images else np.nan,
                "images counted right": (off == 0).mean(axis=0) if images else np.nan,
            }
        ),
    )


def scores_by_size(objects: Array, precisions: Array) -> Figure:
    """From objects (A,) and average precisions (K, A, T) by area."""
    sides = {"small": "up to 32x32 px", "medium": "32x32 to 96x96 px", "large": "from 96x96 px"}
    rows = [
        {
            "size": name if name == "all" else f"{name}: {sides[name]}",
            "objects": int(objects[place]),
            "mAP": _mean(precisions[:, place]),
            "mAP at IoU 0.50": _mean(precisions[:, place, 0]),
            "mAP at IoU 0.75": _mean(precisions[:, place, 5]),
        }
        for place, name in enumerate(AREAS_PX)
    ]
    return Figure(
        "Scores by size",
        "Objects by their area in the upright original, in the mean over the classes that have "
        "such objects.",
        "table",
        pd.DataFrame(rows),
    )


def evidence_for(scores: Sequence[float]) -> Evidence:
    """What speaks for an image's boxes; for its best one where none is sure.

    Log-odds, for the surest scores hardly move with what they stand on.
    """
    sure = sum(score >= SURE for score in scores)
    least = SURE if sure else max(scores, default=1.0)

    def speaks(outputs: torch.Tensor) -> torch.Tensor:
        found = outputs[0, :, 4]
        return torch.logit(found[found >= least - 1e-4], eps=1e-4).sum()

    if not len(scores):
        return Evidence("nothing: no box is found", speaks)
    best = f"its best box (score {max(scores):.2f})"
    return Evidence(f"{sure} box{'es' * (sure > 1)} found" if sure else best, speaks)


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
