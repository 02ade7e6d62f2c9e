"""Floors per class and per slice, and that no class is forgotten."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check, Judged
from graft.vision.records import Array
from graft.vision.task import Metrics


def check_classes(
    challenger: Metrics, champion: Metrics | None, options: PromotionOptions
) -> list[Check]:
    """Each class above its floor, none that lost too much, none forgotten."""
    table = challenger.per_class().set_index("class")
    score = options.class_score
    if score not in table.columns or score == "images":
        columns = ", ".join(name for name in table.columns if name != "images")
        return [Check("class_floor", False, f"no score {score!r} per class; there are: {columns}")]
    before = champion.per_class().set_index("class") if champion is not None else None
    judged = table[table["images"] >= options.class_images_min]
    low = judged[~(judged[score] >= options.class_floor)]  # NaN is below every floor
    checks = [_floor("class", low[score], options.class_floor, f"{score} of {len(judged)} classes")]
    if before is None:
        return checks
    known = before[(before[score] > 0) & (before["images"] > 0)]
    forgotten = [name for name in known.index if not table[score].get(name, 0.0) > 0]
    lost = before[score].reindex(judged.index) - judged[score]
    return [*checks, _forgotten(forgotten, len(known)), _loss("class", lost, options)]


def check_slices(
    challenger: Metrics,
    champion: Metrics | None,
    ids: pd.Series,
    primary: str,
    options: PromotionOptions,
) -> list[Check]:
    """The primary metric of each slice above its floor, and not far below the champion's."""
    rows_by_slice = dict(slices_of(ids, options))
    if not rows_by_slice:
        return []
    scores = pd.Series({name: challenger.scores(r)[primary] for name, r in rows_by_slice.items()})
    low = scores[~(scores >= options.slice_floor)]
    checks = [_floor("slice", low, options.slice_floor, f"{primary} of {len(scores)} slices")]
    if champion is None:
        return checks
    before = pd.Series({name: champion.scores(r)[primary] for name, r in rows_by_slice.items()})
    return [*checks, _loss("slice", before - scores, options)]


def slices_of(ids: pd.Series, options: PromotionOptions) -> Iterator[tuple[str, Array]]:
    """Names and row numbers of the slices that hold enough images."""
    for name, pattern in options.slices.items():
        found = [re.search(pattern, text) for text in ids]
        words = np.array([str(m[m.re.groups and 1]) if m else "" for m in found], dtype=object)
        for word in sorted(set(words) - {""}):
            rows = np.flatnonzero(words == word)
            if len(rows) >= options.slice_images_min:
                yield f"{name} {word}", rows


def check_known(challenger: Judged, champion: Judged) -> Check:
    """The challenger's class table holds every class of the champion's."""
    missing = [name for name in champion.classes.names if name not in challenger.classes.names]
    return _forgotten(missing, len(champion.classes))


def _forgotten(names: list[str], known: int) -> Check:
    if names:
        return Check("forgotten", False, f"the champion knew {', '.join(names)}, this one does not")
    return Check("forgotten", True, f"none of the {known} classes that the champion knew")


def _floor(what: str, low: pd.Series, floor: float, of: str) -> Check:
    if low.empty:
        return Check(f"{what}_floor", True, f"{of}; asked: at least {floor:g}")
    return Check(f"{what}_floor", False, f"{_listed(low)}; asked: at least {floor:g}")


def _loss(what: str, lost: pd.Series, options: PromotionOptions) -> Check:
    most = options.class_loss_max if what == "class" else options.slice_loss_max
    over = lost[lost > most]
    if over.empty:
        worst = f"{lost.max():.3f}" if lost.notna().any() else "nothing"
        return Check(f"{what}_loss", True, f"loses at most {worst}; asked: at most {most:g}")
    return Check(f"{what}_loss", False, f"loses {_listed(over)}; asked: at most {most:g}")


def _listed(scores: pd.Series) -> str:
    return ", ".join(f"{name}: {value:.3f}" for name, value in scores.items())
