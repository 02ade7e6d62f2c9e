"""What annotators said, as numbers."""

import json
from collections.abc import Sequence

import numpy as np

from graft.vision.errors import DataError, nearest
from graft.vision.records import MaskReader, Truth
from graft.vision.task import ClassTable


def read_truth(texts: Sequence[str], classes: ClassTable, masks: MaskReader) -> list[Truth]:
    """``{"targets": (C,) float32}`` per image: one-hot, or multi-hot for multi-label.

    Raises:
        DataError: for a class that the table lacks, or several classes where one is allowed.
    """
    index = {name: i for i, name in enumerate(classes.names)}
    return [_encode(json.loads(text)["classes"], index, classes) for text in texts]


def _encode(names: Sequence[str], index: dict[str, int], classes: ClassTable) -> Truth:
    if classes.exclusive and len(names) != 1:
        raise DataError(
            "an image has other than one class",
            found=list(names),
            mend="set ingestion.source.multi_label if images may have several",
        )
    targets = np.zeros(len(classes), np.float32)
    for name in names:
        if name not in index:
            raise DataError(
                f"class {name!r} is not among the classes learned{nearest(name, index)}",
                allowed=list(classes.names)[:20],
            )
        targets[index[name]] = 1
    return {"targets": targets}
