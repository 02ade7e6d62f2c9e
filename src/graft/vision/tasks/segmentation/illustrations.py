"""What a report shows of segmentation beside what every task has."""

import numpy as np
import pandas as pd
import torch

from graft.vision.records import Array
from graft.vision.task import ClassTable, Evidence, Figure

HALF = 0.5
"""IoU from which a class counts as found in an image."""
LEAST_SHARE = 0.01
"""Of an image's pixels: what is smaller is no ground for a heat map."""
WORDS = {
    "miou": "Mean IoU: of the pixels that are a class or were said to be, the share that is both; "
    "over all images together, as a mean over classes. 1 is perfect.",
    "dice": "The same with what is both counted twice (F1 of pixels), as a mean over classes.",
    "pixel_accuracy": "The share of judged pixels that are given the right class; large classes "
    "dominate.",
    "boundary_f": "F-score of edges: how many edge pixels of a class have one of the same class "
    "within 0.75 % of the image's diagonal in the other mask, as a mean over images.",
    "confusion": "Pixels of each class (row) by the class that they were given (column): blue is "
    "right, orange is wrong; the darker, the more of its row. Pixels that nobody judged are left "
    "out.",
    "calibration": "Images by the mean confidence of their pixels, and the share of their pixels "
    "that is right: both should be equal, on the dashed line. Below it the model is too sure, "
    "above it too modest. The larger a dot, the more images it stands for.",
    "by_class": "Precision is the share of the pixels said to be a class that are, recall the "
    "share of its pixels that are found.",
    "pictures": "The number is the mean IoU of the image over its classes. Hatched in grey: "
    "pixels that nobody judged.",
    "attention": "Where the features speak for one class said, the one with the least IoU in its "
    "image, by its gradient on every map (HiResCAM): from purple (little) to yellow (most); grey "
    "says nothing. A model that looks elsewhere than at the class leans on its surroundings.",
}


def images_by_score(ious: Array, accuracy: Array) -> Figure:
    """From (N,) mean IoU and pixel accuracy of each image."""
    parts = []
    for name, values in (("mean IoU", ious), ("pixel accuracy", accuracy)):
        known = np.sort(values[np.isfinite(values)])
        share = (np.arange(len(known)) + 0.5) / max(1, len(known))
        parts.append(pd.DataFrame({"name": name, "share of images": share, "score": known}))
    return Figure(
        "Images from the worst to the best",
        "Each image's own scores in rising order: half of the images do no better than the "
        "line's height at 0.5. A drop on the left is a few images that fail.",
        "lines",
        pd.concat(parts, ignore_index=True),
    )


def classes_by_image(classes: ClassTable, true: Array, said: Array, ious: Array) -> Figure:
    """From (N, C) pixels that are, pixels that were said, and IoU of each image."""
    there, hit = true > 0, np.nan_to_num(ious) > 0
    pixels = max(1, int(true.sum()))
    return Figure(
        "Classes found, missed and invented",
        "In how many images a class is found (IoU 0.5 or more) or found in part, missed (not one "
        "pixel is right) or invented (said where it is not, be it in one pixel); and its share "
        "of all judged pixels, in truth and as said.",
        "table",
        pd.DataFrame(
            {
                "class": classes.names,
                "images with it": there.sum(axis=0),
                "found": (there & (np.nan_to_num(ious) >= HALF)).sum(axis=0),
                "found in part": (there & hit & (np.nan_to_num(ious) < HALF)).sum(axis=0),
                "missed": (there & ~hit).sum(axis=0),
                "invented": (~there & (said > 0)).sum(axis=0),
                "share of pixels": true.sum(axis=0) / pixels,
                "share said": said.sum(axis=0) / pixels,
            }
        ),
    )


def evidence_for(classes: ClassTable, said: Array, ious: Array) -> Evidence:
    """What speaks for the class that is met least, of those that fill some of the image.

    As in Seg-Grad-CAM (Vinogradova et al., 2020): the logits of the pixels that are given the
    class, together.
    """
    large = np.flatnonzero(said >= max(1, LEAST_SHARE * said.sum()))
    number = int(large[np.argmin(ious[large])]) if len(large) else 0

    def speaks(outputs: torch.Tensor) -> torch.Tensor:
        return outputs[0, number][outputs[0].argmax(dim=0) == number].sum()

    if not len(large):
        return Evidence(classes.names[number], speaks)
    return Evidence(f"{classes.names[number]} (IoU {ious[number]:.2f})", speaks)
