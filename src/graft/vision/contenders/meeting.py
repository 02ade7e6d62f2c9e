"""The contenders meet on the same test images; the verdict names the model that goes on."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from graft.vision.backbones.weights import digest_state
from graft.vision.contenders.ground import Ground
from graft.vision.data.splits import units_of
from graft.vision.errors import DataError
from graft.vision.evaluation.bootstrap import bootstrap_scores
from graft.vision.evaluation.calibration import fit_score_temperature, fit_temperature
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.verdict import Contender, judge
from graft.vision.model import TrainedModel, check_finite
from graft.vision.records import Truth, digest_of
from graft.vision.store import ArrayStore
from graft.vision.task import LossOptions
from graft.vision.tiles import images_at_once, view_count

log = logging.getLogger("graft")

RULE = "outputs-2"
"""Changes with what equal names stand for in the store."""


def outputs_of(
    ground: Ground, model: TrainedModel, rows: pd.DataFrame, plain: bool = False
) -> torch.Tensor:
    """(V, ...) outputs of these rows; what this model has said once is not computed again.

    V counts views: of each image those that a prediction takes, or the ``plain`` one alone.
    Raises `TrainingError` where outputs are not finite; it names the images.
    """
    return _read(_say(ground, model, rows, plain), rows, model.card.contender)


def _say(
    ground: Ground, model: TrainedModel, rows: pd.DataFrame, plain: bool = False
) -> ArrayStore:
    """The store of what this model said, in which none of these rows is missing."""
    view = model.card.preprocessing
    rule = {
        "rule": RULE,
        "weights": digest_state(dict(model.module.state_dict())),
        "options": digest_of(model.card.task_options),
        "view": view.digest,
        "decoding": ground.pixels.options.digest,
        "views": "plain" if plain and view.fit == "tiles" else "all",
    }
    folder = Path(ground.pixels.array_store.folder).parent / "outputs"
    store = ArrayStore(folder, digest_of(rule)[:24], rule)
    missing, step = store.missing(rows["sha256"]), images_at_once(view)
    if missing:
        with store.writer() as writer:
            for start in range(0, len(missing), step):
                part = missing[start : start + step]
                images = [ground.pixels.read(sha256) for sha256 in part]
                computed = model.outputs(images, plain=plain)
                counts = [1 if plain else view_count(pixels.shape, view) for pixels in images]
                for sha256, output in zip(part, computed.split(counts), strict=True):
                    writer.add(sha256, output.numpy())
    return store


def _read(store: ArrayStore, rows: pd.DataFrame, contender: str) -> torch.Tensor:
    said = [store.read(sha256) for sha256 in rows["sha256"]]
    outputs = torch.from_numpy(np.concatenate(said))
    names = [name for name, views in zip(rows["id"], said, strict=True) for _ in views]
    check_finite(outputs, names, contender)
    return outputs


def calibrate_models(ground: Ground, models: Sequence[TrainedModel]) -> dict[str, float]:
    """One temperature per contender, fitted on val; 1.0 where val is too small.

    By the task's loss; where outputs tell none, as of detectors, by how often scores are right.
    """
    val = ground.split("val")
    if val.empty:
        return {model.card.contender: 1.0 for model in models}
    truths = [truth for batch in ground.plain_batches(val) for truth in batch.truths]
    return {model.card.contender: _temperature(ground, model, val, truths) for model in models}


def _temperature(
    ground: Ground, model: TrainedModel, val: pd.DataFrame, truths: Sequence[Truth]
) -> float:
    outputs = outputs_of(ground, model, val, plain=True)
    if not ground.task.loss(outputs, truths, ground.classes, LossOptions()).isnan():
        return fit_temperature(outputs, truths, ground.classes, ground.task)
    table = ground.task.predict(outputs, ground.classes, 1.0, ground.plain_frames(val))
    table["truth"] = ground.plain_words(val)
    return fit_score_temperature(*ground.task.new_metrics(table, ground.classes).reliability())


def predict_contenders(
    ground: Ground, models: Sequence[TrainedModel], calibrations: Mapping[str, float]
) -> pd.DataFrame:
    """One row per contender and test image: id, path, sha256, unit, contender, truth, predictions.

    ``uncalibrated_score`` is the score before temperature scaling. Raises `TrainingError` where
    outputs are not finite; it names the images.
    """
    test = ground.split("test")
    if test.empty:
        raise DataError("no test image is left to judge on", mend="see the quality report")
    units = pd.Series(units_of(ground.rows), index=ground.rows["id"])
    test["unit"] = units.loc[test["id"]].to_numpy()
    step = images_at_once(ground.preprocessing)
    parts = [test.iloc[start : start + step] for start in range(0, len(test), step)]
    tables = [
        _predict_some(ground, model.card.contender, store, part, calibrations)
        for model in models
        for store in [_say(ground, model, test)]
        for part in parts
    ]
    return pd.concat(tables, ignore_index=True)


def _predict_some(
    ground: Ground,
    name: str,
    said: ArrayStore,
    rows: pd.DataFrame,
    calibrations: Mapping[str, float],
) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    frames, outputs = ground.frames(rows), _read(said, rows, name)
    predicted = ground.task.predict(outputs, ground.classes, calibrations[name], frames)
    plain = predicted
    if calibrations[name] != 1.0:
        plain = ground.task.predict(outputs, ground.classes, 1.0, frames)
    table = rows[["id", "path", "sha256", "unit"]].copy()
    table["contender"] = name
    table["truth"] = ground.words(rows)
    table["uncalibrated_score"] = plain["score"].to_numpy()
    return pd.concat([table, predicted], axis=1)


def judge_contenders(
    ground: Ground,
    predictions: pd.DataFrame,
    models: Sequence[TrainedModel],
    options: EvaluationOptions,
) -> dict[str, Any]:
    """The verdict over all contenders, the cheapest kind first, as a record."""
    contenders, units = [], []
    for cost, model in enumerate(models):
        rows = of_contender(predictions, model.card.contender)
        units = list(rows["unit"])
        metrics = ground.task.new_metrics(rows, ground.classes)
        notes = tuple(str(note) for note in model.card.facts.get("overfitting", []))  # type: ignore[attr-defined]
        name, minutes = model.card.contender, model.card.minutes
        contenders.append(Contender(name, metrics, minutes, cost, notes))
    return judge(contenders, ground.task.primary_metric, units, options)


def choose_model(
    models: Sequence[TrainedModel], verdict: Mapping[str, Any], calibrations: Mapping[str, float]
) -> TrainedModel:
    """The model that the verdict names, with its temperature on its card."""
    chosen = next(model for model in models if model.card.contender == verdict["chosen"])
    temperature = calibrations[chosen.card.contender]
    card = chosen.card.model_copy(update={"temperature": temperature})
    return TrainedModel(card, chosen.module, chosen.task)


def score_model(
    ground: Ground,
    predictions: pd.DataFrame,
    verdict: Mapping[str, Any],
    options: EvaluationOptions,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The chosen model's test predictions, and its scores with intervals, the primary first."""
    rows = of_contender(predictions, verdict["chosen"])
    units = list(rows["unit"])
    metrics = ground.task.new_metrics(rows, ground.classes)
    scores = bootstrap_scores(metrics, units, options)
    primary = ground.task.primary_metric
    ordered = {primary: scores.pop(primary), **scores}
    return rows, ordered


def of_contender(predictions: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one contender."""
    return predictions[predictions["contender"] == name].reset_index(drop=True)
