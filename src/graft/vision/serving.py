"""Predictions from files, by the same decoding and the same view as training and evaluation."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

import pandas as pd

from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.data.file_bytes import read_within
from graft.vision.errors import UnusableImageError
from graft.vision.model import TrainedModel
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.tasks import answer_of
from graft.vision.tiles import by_image, frames_of, images_at_once

IS_ODD = "is odd"
ODD = UnusableImageError(
    "what the model computes of it is not finite",
    mend="look at this image; if it is sound, train the model again at a lower learning rate",
)
Given = bytes | Path | UnusableImageError | None


def answer_images(
    model: TrainedModel,
    images: Iterable[Given],
    asked: Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """As `predict_images`, with the words of each prediction laid out in columns of their own.

    Args:
        asked: what the task's answer may be asked for, such as ``mask_format``.

    Raises:
        OptionsError: for what it may not be asked for.
    """
    answer = answer_of(model.card.task)
    if answer is None:
        return predict_images(model, images)
    options = answer.AnswerOptions.parse(dict(asked or {}), "params")
    table = predict_images(model, images)
    nothing = dict.fromkeys(answer.COLUMNS)
    cells = [
        nothing if error else answer.cells_of(text, options)
        for text, error in zip(table["prediction"], table["error"], strict=True)
    ]
    columns = {name: [row[name] for row in cells] for name in answer.COLUMNS}
    said = pd.DataFrame(columns, index=table.index, dtype=object)
    return pd.concat([said, table.drop(columns="prediction")], axis=1)


def predict_images(model: TrainedModel, images: Iterable[Given]) -> pd.DataFrame:
    """Predict from image files given as bytes or paths; None stands for an image not given, and an
    error for one that may not be looked at.

    Images are decoded as the model asks for them, and their outputs become words before the next
    ones are asked for, so memory does not grow with their number.

    Returns:
        One row per image, in order: the task's columns, then ``error`` (empty, or why this image
        cannot be used, or the model says of it what is not finite; its other cells are then
        missing).
    """
    options = DecodingOptions.parse(model.card.decoding, "decoding of the model's card")
    errors: list[str] = []
    frames: list[Frame] = []
    usable = _usable(images, model, options, errors, frames)
    predictions = pd.concat(_parts(model, usable, frames))
    predictions.index = pd.Index([i for i, error in enumerate(errors) if not error])
    odd = predictions.pop(IS_ODD).astype(bool)
    for place in predictions.index[odd]:
        errors[place] = str(ODD)
    predictions = predictions[~odd]
    table = predictions.reindex(range(len(errors)))
    table["error"] = pd.Series(errors, table.index, dtype=object)
    return table


def _parts(
    model: TrainedModel, usable: Iterator[Array], frames: list[Frame]
) -> Iterator[pd.DataFrame]:
    """Predictions of so many images as are held at once, at least of none; ``frames`` go with
    them."""
    card, others = model.card, images_at_once(model.card.preprocessing) - 1
    first = list(islice(usable, 1))
    while True:
        outputs = model.outputs(chain(first, islice(usable, others)))
        odd = [not bool(one.isfinite().all()) for one, _ in by_image(outputs, frames)]
        if any(odd):  # of which no words are made
            outputs = outputs.nan_to_num(0.0, 0.0, 0.0)
        table = model.task.predict(outputs, card.classes, card.temperature, frames)
        yield table.assign(**{IS_ODD: odd})
        frames.clear()
        first = list(islice(usable, 1))
        if not first:
            return


def _usable(
    images: Iterable[Given],
    model: TrainedModel,
    options: DecodingOptions,
    errors: list[str],
    frames: list[Frame],
) -> Iterator[Array]:
    """Yield the pixels of what can be used, and note their frames; of the others note why not."""
    for image in images:
        try:
            found = decode(_read(image, options), options)
        except UnusableImageError as error:
            errors.append(str(error))
        else:
            errors.append("")
            view = model.card.preprocessing
            frames.extend(frames_of(found.pixels.shape, found.width, found.height, view))
            yield found.pixels


def _read(image: Given, options: DecodingOptions) -> bytes:
    if image is None:
        raise UnusableImageError("no image is given", allowed="the bytes of a file, or its path")
    if isinstance(image, UnusableImageError):
        raise image
    if isinstance(image, bytes):
        return image
    if not os.path.isfile(image):  # noqa: PTH113 - Path.is_file raises on too long names
        raise UnusableImageError(f"no file at {image}")
    try:
        return read_within(image, options.max_pixels)
    except UnusableImageError as error:
        raise UnusableImageError(f"{image} {error}".rstrip(".")) from error
