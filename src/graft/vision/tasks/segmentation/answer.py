"""What a served segmentation model answers of an image: its mask in the form that is asked for."""

import base64
import json
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import numpy as np

from graft.vision.data.masks import decode_mask
from graft.vision.options import Options
from graft.vision.records import Array


class Runs(TypedDict):
    """The pixels of one class as COCO's uncompressed run lengths, which pycocotools reads.

    ``size``: [height, width]. ``counts``: of pixels outside and inside in turn, down each column
    from the left; the first are outside, perhaps none.
    """

    size: list[int]
    counts: list[int]


COLUMNS = {
    "size_px": list[int],
    "names": list[str],
    "mask_png": bytes,
    "mask_rle": list[Runs],
}
"""``size_px``: [width, height] of the upright original; ``names``: the class table, by number;
``mask_png``: a grey PNG of that size whose values are class numbers; ``mask_rle``: runs of each
class of the table. Of the last two the one that was asked for."""


class AnswerOptions(Options):
    """What may be asked for beside the images."""

    mask_format: Literal["png", "rle"] = "png"


def cells_of(prediction: str, options: Options) -> dict[str, Any]:
    """The columns' values for one prediction."""
    assert isinstance(options, AnswerOptions)
    words = json.loads(prediction)
    cells = {"size_px": words["size_px"], "names": words["names"]}
    if options.mask_format == "png":
        return {**cells, "mask_png": base64.b64decode(words["png"]), "mask_rle": None}
    runs = list(runs_of(decode_mask(words["png"]), len(words["names"])))
    return {**cells, "mask_png": None, "mask_rle": runs}


def runs_of(mask: Array, classes: int) -> Iterator[Runs]:
    """The runs of each class number in an (H, W) uint8 mask."""
    line = mask.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(line[1:] != line[:-1]) + 1])
    ends = np.append(starts[1:], line.size)
    numbers = line[starts]
    for number in range(classes):
        own = numbers == number
        edges = np.stack([starts[own], ends[own]], axis=1).ravel()
        counts = np.diff(edges, prepend=0, append=line.size)
        if not counts[-1]:  # the last pixel is inside
            counts = counts[:-1]
        yield {"size": list(mask.shape), "counts": counts.tolist()}
