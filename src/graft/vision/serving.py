"""Predictions from files, by the same decoding and the same view as training and evaluation."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.vision.data.decoding import Decoded, DecodingOptions, decode
from graft.vision.errors import UnusableImageError
from graft.vision.model import TrainedModel

CHUNK = 32
"""Images decoded at a time, so that memory does not grow with their number."""


def predict_images(model: TrainedModel, images: Sequence[bytes | Path]) -> pd.DataFrame:
    """Predict from image files given as bytes or paths.

    Returns:
        One row per image, in order: the task's columns, then ``error`` (empty, or why this image
        cannot be used; its other cells are then missing).
    """
    options = DecodingOptions.parse(model.card.decoding, "decoding of the model's card")
    parts = [
        _predict_some(model, images[start : start + CHUNK], options)
        for start in range(0, max(1, len(images)), CHUNK)
    ]
    return pd.concat(parts, ignore_index=True)


def _predict_some(
    model: TrainedModel, images: Sequence[bytes | Path], options: DecodingOptions
) -> pd.DataFrame:
    decoded = [_decode(image, options) for image in images]
    usable = [found for found, _ in decoded if found is not None]
    predictions = model.predict(
        [found.pixels for found in usable], [(found.width, found.height) for found in usable]
    )
    predictions.index = pd.Index([i for i, (found, _) in enumerate(decoded) if found is not None])
    table = predictions.reindex(range(len(images)))
    table["error"] = [reason for _, reason in decoded]
    return table


def _decode(image: bytes | Path, options: DecodingOptions) -> tuple[Decoded | None, str]:
    try:
        data = image.read_bytes() if isinstance(image, Path) else image
        return decode(data, options), ""
    except (UnusableImageError, OSError) as error:
        return None, str(error)
