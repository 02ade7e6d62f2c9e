"""The probe as a contender: frozen features, and the head that fits them best."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.doubted import doubt_objects
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.trained_head import train_head
from graft.vision.data.splits import units_of
from graft.vision.features.doubts import doubted_truths
from graft.vision.features.extraction import FrozenFeatures, extract_features
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.features.probe import ProbeFit, fit_probe
from graft.vision.model import TrainedModel
from graft.vision.records import DOUBTED, Array, digest_of


def extract_frozen_features(
    ground: Ground, folder: Path, options: FeatureExtractionOptions
) -> pd.DataFrame:
    """The table of `FrozenFeatures` of every image of the case."""
    augmenter = Augmenter(ground.policy, ground.task, ground.seed)
    place = {name: number for number, name in enumerate(ground.rows["id"])}
    truths = ground.truths(ground.rows)

    def augment(pixels: Array, sample_id: str, view: int) -> Array:
        # The truth has a say: what a policy draws may depend on where objects are.
        return augmenter(pixels, truths[place[sample_id]], -view, sample_id)[0]

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
    ground: Ground,
    frozen_features: pd.DataFrame,
    folder: Path,
    checkpoint_folder: Path,
    options: ProbingOptions,
) -> tuple[TrainedModel, dict[str, Any]]:
    """Fit the probe on the train split: a linear head is solved, another trained on stored maps.

    Returns the probe with its card, and a report: how the head was fitted, and how well it does.
    """
    started = time.perf_counter()
    features = FrozenFeatures(frozen_features, folder)
    model = ground.new_model()
    if isinstance(model.head, nn.Linear):
        report = _solve(ground, features, model.head, options)
    else:
        report = train_head(ground, features, model, checkpoint_folder, options)
        report |= doubt_objects(ground, features, model, options.folds)
    minutes = float(report.get("minutes", (time.perf_counter() - started) / 60))
    # The card travels with the model, and says nothing of single images.
    facts = {name: value for name, value in report.items() if name != DOUBTED}
    return ground.finish("probe", model, "probe", minutes, facts), report


def _solve(
    ground: Ground, features: FrozenFeatures, head: nn.Linear, options: ProbingOptions
) -> dict[str, Any]:
    table = features.table
    rows = table[table["split"] == "train"].reset_index(drop=True)
    truth_of = dict(zip(ground.rows["id"], ground.truths(ground.rows), strict=True))
    unit_of = dict(zip(ground.rows["id"], units_of(ground.rows), strict=True))
    fit = fit_probe(
        ground.task,
        ground.classes,
        features.matrix(rows),
        [truth_of[name] for name in rows["id"]],
        [unit_of[name] for name in rows["id"]],
        head,
        options,
        ground.seed,
    )
    truth_texts = ground.rows.set_index("id")["truth"]
    stated = rows.assign(truth=[truth_texts[name] for name in rows["id"]])
    doubted = doubted_truths(stated, fit.held_out, ground.classes)
    return {**_report(ground, fit, len(rows), options), DOUBTED: doubted}


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
