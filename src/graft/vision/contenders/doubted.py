"""Which objects of the training images have a class that is likely wrong."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from graft.vision.backbones.pyramid import Pyramid
from graft.vision.contenders.ground import Ground
from graft.vision.data.splits import units_of
from graft.vision.features.doubts import doubted_objects
from graft.vision.features.extraction import FrozenFeatures
from graft.vision.features.objects import ImageOfObjects, pool_objects
from graft.vision.model import GraftedModel
from graft.vision.records import DOUBTED, named_rows


def doubt_objects(
    ground: Ground, features: FrozenFeatures, model: GraftedModel, folds: int
) -> dict[str, Any]:
    """`DOUBTED`, and of how many ``training_objects`` that could be told: ``judged_objects``.

    By the stored maps of the plain views: of tiled images these show the middle, and what lies
    beside it is not judged.
    """
    objects = pool_objects(_images(ground, features, model), ground.preprocessing.size_px)
    doubted, judged = doubted_objects(objects, ground.classes, folds)
    return {"training_objects": objects.stated, "judged_objects": judged, DOUBTED: doubted}


def _images(
    ground: Ground, features: FrozenFeatures, model: GraftedModel
) -> Iterator[ImageOfObjects]:
    pyramid = model.backbone
    if not isinstance(pyramid, Pyramid):
        return
    shapes = pyramid.map_shapes(ground.preprocessing.size_px)
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    plain = features.table[features.table["view"] == 0].drop_duplicates("id")
    stored = dict(zip(plain["id"], named_rows(plain), strict=True))
    rows = ground.split("train")
    parts = zip(
        named_rows(rows),
        units_of(rows),
        ground.truths(rows),
        ground.plain_frames(rows),
        strict=True,
    )
    for row, unit, truth, frame in parts:
        objects = ground.task.objects(truth, row.width, row.height)
        if objects:
            flat = features.read(stored[row.id])
            maps = [
                part.reshape(shape)
                for part, shape in zip(np.split(flat, ends), shapes, strict=True)
            ]
            yield ImageOfObjects(row.id, unit, maps, objects, frame)
