"""All that the page shows, as plain tables and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from graft.vision.task import Figure

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """An encoded picture of the file ``source``; ``companion`` stands beside it."""

    image: bytes
    caption: str
    companion: bytes | None = None
    label: str = ""
    source: str = ""


@dataclass(frozen=True)
class ReportMaterial:
    """What `render_report` needs.

    Attributes:
        scores: metric -> value, low, high; ``n/a`` where undefined.
        per_class: class, images, scores; NaN where undefined.
        confusion: counts, truth in rows and prediction in columns.
        histories: model -> epoch, train_loss, val_loss, val_<primary>, ...
        reliability: ``before`` and ``after`` temperature scaling, or one line where that changed
            nothing: bins of confidence, share right and what they hold (``images``).
        worst: then, where image scores differ, a median and the best; truth beside prediction.
        attention: what was said, beside where the model looked.
        facts: section -> what -> value, for the tables at the end.
        figures, words, legend: as in `graft.vision.task.Illustrated`.
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
    figures: Sequence[Figure] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    legend: Mapping[str, RGB] = field(default_factory=dict)
