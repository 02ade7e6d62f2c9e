"""What annotators said of an image: a class for each pixel."""

import json
from collections.abc import Sequence
from typing import Any, overload

import cv2
import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.errors import DataError
from graft.vision.records import Array, MaskReader, Truth
from graft.vision.task import ClassTable


class MaskTruths(Sequence[Truth]):
    """One truth per text; a mask is read each time it is asked for, so that none is kept.

    A truth has ``targets``, (C,) float32, and ``mask``, (H, W) uint8 class numbers of the class
    table, 255 where nobody judges; its size is the upright original's.
    """

    def __init__(self, texts: Sequence[str], classes: ClassTable, masks: MaskReader) -> None:
        self._texts, self._classes, self._masks = list(texts), classes, masks

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Truth: ...

    @overload
    def __getitem__(self, place: slice) -> "MaskTruths": ...

    def __getitem__(self, place: int | slice) -> "Truth | MaskTruths":
        if isinstance(place, slice):
            return MaskTruths(self._texts[place], self._classes, self._masks)
        said = json.loads(self._texts[place])
        if "mask_sha256" not in said:
            raise DataError(
                "a truth of segmentation has no mask",
                found=sorted(said),
                allowed="mask_sha256, names, ignored",
                mend="set ingestion.source.layout to one that reads masks, and run ingestion again",
            )
        names = class_numbers(said, self._classes)
        present = [name in said["classes"] for name in self._classes.names]
        mask = cv2.LUT(np.ascontiguousarray(self._masks.read(said["mask_sha256"])), names)
        return {"targets": np.array(present, np.float32), "mask": mask}


def read_truth(texts: Sequence[str], classes: ClassTable, masks: MaskReader) -> Sequence[Truth]:
    """The truth of each text of the manifest, read when it is asked for."""
    return MaskTruths(texts, classes, masks)


def class_numbers(said: dict[str, Any], classes: ClassTable) -> Array:
    """(256,) uint8: the class of each number of a mask; 255 for what the table does not have.

    Args:
        said: ``names`` by number, and the number that is ``ignored``, if there is one.
    """
    numbers = np.full(256, IGNORED, np.uint8)
    for number, name in enumerate(said["names"][:IGNORED]):
        if name in classes.names and number != said.get("ignored", IGNORED):
            numbers[number] = classes.names.index(name)
    return numbers
