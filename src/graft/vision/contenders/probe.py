"""The probe as a contender: frozen features, and the head that fits them best."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.ground import Ground
from graft.vision.data.splits import units_of
from graft.vision.features.extraction import FrozenFeatures, extract_features
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.features.probe import ProbeFit, fit_probe
from graft.vision.model import TrainedModel
from graft.vision.records import Array, digest_of


def extract_frozen_features(
    ground: Ground, folder: Path, options: FeatureExtractionOptions
) -> pd.DataFrame:
    """The table of `FrozenFeatures` of every image of the case."""
    augmenter = Augmenter(ground.policy, ground.task, ground.seed)

    def augment(pixels: Array, sample_id: str, view: int) -> Array:
        return augmenter(pixels, {}, -view, sample_id)[0]

    found = extract_features(
        ground.rows,
        ground.pixels,
        ground.new_model(),
        ground.preprocessing,
        folder,
        options,
        augment,
        digest_of([ground.policy, ground.seed]),
    )
    return found.table


def train_probe(
    ground: Ground, frozen_features: pd.DataFrame, folder: Path, options: ProbingOptions
) -> tuple[TrainedModel, dict[str, Any]]:
    """Fit the probe on the train split.

    Returns the probe with its card, and a report: strength, losses by fold, k-NN, validation.
    """
    started = time.perf_counter()
    features = FrozenFeatures(frozen_features, folder)
    rows = frozen_features[frozen_features["split"] == "train"].reset_index(drop=True)
    manifest = ground.rows.set_index("id")
    truth_of = dict(zip(manifest.index, ground.truths(ground.rows), strict=True))
    unit_of = dict(zip(ground.rows["id"], units_of(ground.rows), strict=True))
    model = ground.new_model()
    fit = fit_probe(
        ground.task,
        ground.classes,
        features.matrix(rows),
        [truth_of[name] for name in rows["id"]],
        [unit_of[name] for name in rows["id"]],
        model.head,
        options,
        ground.seed,
    )
    minutes = (time.perf_counter() - started) / 60
    report = _report(ground, fit, len(rows), options)
    return ground.finish("probe", model, "probe", minutes, report), report


def _report(ground: Ground, fit: ProbeFit, images: int, options: ProbingOptions) -> dict[str, Any]:
    losses = {str(strength): float(np.mean(v)) for strength, v in fit.fold_losses.items() if v}
    score = fit.neighbours_score
    return {
        "strength": fit.strength,
        "cross_validated_loss": losses,
        "neighbours": options.neighbours,
        f"neighbours_{ground.task.primary_metric}": score if np.isfinite(score) else "n/a",
        "training_images": images,
    }
