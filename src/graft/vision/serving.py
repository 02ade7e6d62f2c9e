"""Predictions from files, by the same decoding and the same view as training and evaluation."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.errors import UnusableImageError
from graft.vision.model import TrainedModel
from graft.vision.records import Array


def predict_images(model: TrainedModel, images: Sequence[bytes | Path]) -> pd.DataFrame:
    """Predict from image files given as bytes or paths.

    Returns:
        One row per image, in order: the task's columns, then ``error`` (empty, or why this image
        cannot be used; its other cells are then missing).
    """
    options = DecodingOptions.parse(model.card.decoding, "decoding of the model's card")
    decoded = [_decode(image, options) for image in images]
    usable = [pixels for pixels, _ in decoded if pixels is not None]
    predictions = model.predict(usable)
    predictions.index = pd.Index([i for i, (pixels, _) in enumerate(decoded) if pixels is not None])
    table = predictions.reindex(range(len(images)))
    table["error"] = [reason for _, reason in decoded]
    return table


def _decode(image: bytes | Path, options: DecodingOptions) -> tuple[Array | None, str]:
    try:
        data = image.read_bytes() if isinstance(image, Path) else image
        return decode(data, options).pixels, ""
    except (UnusableImageError, OSError) as error:
        return None, str(error)
