"""Classifiers of a chosen accuracy, judged on images that come in groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Judged
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task

TASK = choose_task({"name": "classification"})[0]
NAMES = ("ant", "bee", "wasp")
CLASSES = ClassTable(names=NAMES)
RULE = PromotionOptions(
    asks="better", resamples=200, class_score="recall", class_floor=0.3, class_loss_max=0.2
)


def truths(images: int, seed: int = 0) -> list[str]:
    """A class per image."""
    return [NAMES[i] for i in np.random.default_rng(seed).integers(3, size=images)]


def said(truth: Sequence[str], right: Sequence[bool]) -> pd.DataFrame:
    """Predictions that name the truth where they are right, the next class where not."""
    kinds = np.array([NAMES.index(name) for name in truth])
    kinds = np.where(right, kinds, (kinds + 1) % 3)
    table = pd.DataFrame(0.1 + 0.7 * np.eye(3)[kinds], columns=[f"prob_{n}" for n in NAMES])
    table.insert(0, "prediction", [NAMES[kind] for kind in kinds])
    table.insert(1, "score", 0.8)
    return table


def model(
    name: str, right: Sequence[bool], truth: Sequence[str], per_unit: int = 4, **bound: str
) -> Judged:
    """A model that is right on these images, trained on others."""
    ids = [f"test/{i}.png" for i in range(len(truth))]
    known = {"id": ids, "sha256": [f"test-{i}" for i in range(len(ids))], "truth": list(truth)}
    units = [f"unit {i // per_unit}" for i in range(len(ids))]
    table = pd.concat([pd.DataFrame({**known, "unit": units}), said(truth, right)], axis=1)
    binds = {"task": "classification", "test_set": "t", "preprocessing": "p", "code": "c"}
    return Judged(name, CLASSES, table, {**binds, "identity": name, **bound}, split(ids))


def split(ids: Sequence[str]) -> pd.DataFrame:
    """The test images, and as many others to learn from."""
    rows = [{"id": name, "sha256": f"test-{i}", "split": "test"} for i, name in enumerate(ids)]
    rows += [
        {"id": f"train/{i}.png", "sha256": f"train-{i}", "split": "train"} for i in range(len(ids))
    ]
    return pd.DataFrame(rows).assign(cluster=lambda table: table["id"])


def chances(images: int, share: float, seed: int, per_unit: int = 4) -> list[bool]:
    """Right with this chance; images of a unit tend to be right together."""
    generator = np.random.default_rng(seed)
    unit = generator.normal(size=images // per_unit + 1).repeat(per_unit)[:images]
    mixed = 0.6 * unit + 0.8 * generator.normal(size=images)
    return list(mixed < np.quantile(generator.normal(size=100_000), share))


def rules_of(decision: dict[str, Any]) -> list[str]:
    """The names of the rules that refuse."""
    return list(decision["refused_by"])
