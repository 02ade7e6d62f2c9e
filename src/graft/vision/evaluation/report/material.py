"""All that the page shows, as plain tables and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Picture:
    """An encoded picture with its caption; ``companion`` stands beside it."""

    image: bytes
    caption: str
    companion: bytes | None = None


@dataclass(frozen=True)
class ReportMaterial:
    """What `render_report` needs.

    Attributes:
        scores: metric -> value, low, high; ``n/a`` where undefined.
        per_class: class, images, scores; NaN where undefined.
        confusion: counts, truth in rows and prediction in columns.
        histories: model -> epoch, train_loss, val_loss, val_<primary>, ...
        reliability: ``before`` and ``after`` temperature scaling: bins of confidence and share
            right.
        facts: section -> what -> value, for the tables at the end.
    """

    case: str
    task: str
    primary: str
    verdict: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, Any]]
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    histories: Mapping[str, pd.DataFrame]
    reliability: Mapping[str, Sequence[Mapping[str, float]]]
    worst: Sequence[Picture]
    attention: Sequence[Picture]
    quality: Mapping[str, Any]
    policy_preview: bytes
    facts: Mapping[str, Mapping[str, Any]]
