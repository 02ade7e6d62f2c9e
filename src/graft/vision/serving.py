"""Predictions from files, by the same decoding and the same view as training and evaluation."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.errors import UnusableImageError
from graft.vision.model import TrainedModel
from graft.vision.preprocessing import Frame, frame_of
from graft.vision.records import Array


def predict_images(model: TrainedModel, images: Iterable[bytes | Path | None]) -> pd.DataFrame:
    """Predict from image files given as bytes or paths; None stands for an image not given.

    Images are decoded as the model asks for them, so memory does not grow with their number.

    Returns:
        One row per image, in order: the task's columns, then ``error`` (empty, or why this image
        cannot be used; its other cells are then missing).
    """
    options = DecodingOptions.parse(model.card.decoding, "decoding of the model's card")
    errors: list[str] = []
    frames: list[Frame] = []
    outputs = model.outputs(_usable(images, model, options, errors, frames))
    predictions = model.task.predict(outputs, model.card.classes, model.card.temperature, frames)
    predictions.index = pd.Index([i for i, error in enumerate(errors) if not error])
    table = predictions.reindex(range(len(errors)))
    table["error"] = pd.Series(errors, table.index, dtype=object)
    return table


def _usable(
    images: Iterable[bytes | Path | None],
    model: TrainedModel,
    options: DecodingOptions,
    errors: list[str],
    frames: list[Frame],
) -> Iterator[Array]:
    """Yield the pixels of what can be used, and note their frames; of the others note why not."""
    for image in images:
        try:
            found = decode(_read(image), options)
        except UnusableImageError as error:
            errors.append(str(error))
        else:
            errors.append("")
            view = model.card.preprocessing
            frames.append(frame_of(found.pixels.shape, found.width, found.height, view))
            yield found.pixels


def _read(image: bytes | Path | None) -> bytes:
    if image is None:
        raise UnusableImageError("no image is given", allowed="the bytes of a file, or its path")
    if isinstance(image, bytes):
        return image
    try:
        if not image.is_file():  # a pipe or a device would be read without end
            raise UnusableImageError(f"no file at {image}")
        return image.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise UnusableImageError(f"{image} cannot be read ({error})") from error
