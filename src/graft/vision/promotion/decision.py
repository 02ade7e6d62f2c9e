"""The decision on a challenger, as a record that names each part of the rule and what it found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.promotion.floors import check_classes, check_known, check_slices
from graft.vision.promotion.gain import check_gain, gain
from graft.vision.promotion.likeness import find_leaks, find_unlike
from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import Check, Findings, Judged
from graft.vision.task import Metrics, Task

NO_RULE = "no rule is set: promotion.asks is empty in conf, and no rule means no"


def decide(
    task: Task,
    challenger: Judged,
    champion: Judged | None,
    options: PromotionOptions | None,
    also: Sequence[Check] = (),
) -> dict[str, Any]:
    """Whether the challenger becomes champion.

    Args:
        champion: judged on the challenger's test images; None where none stands.
        options: the rule; None means no.
        also: what was checked outside, such as that the registered bytes load and predict.

    Returns:
        ``promote``, ``reason``, ``refused_by`` (names of rules), ``checks`` (rule, held, said),
        ``rule`` (values), ``challenger``, ``champion``, ``primary``, ``images``, ``units``,
        ``scores`` and ``difference`` (value, low, high, p_value) where they were compared.
    """
    found = compare(task, challenger, champion, options) if options else _no_rule()
    checks = [*also, *found.checks]
    refused = list(dict.fromkeys(check.rule for check in checks if not check.held))
    return {
        "promote": not refused,
        "challenger": challenger.name,
        "champion": champion.name if champion else None,
        "reason": _reason(checks, champion),
        "refused_by": refused,
        "checks": [check.record() for check in checks],
        "rule": options.model_dump(mode="json") if options else {},
        "primary": task.primary_metric,
        "images": len(challenger.predictions),
        "units": challenger.predictions["unit"].nunique(),
        **found.numbers,
    }


def compare(
    task: Task, challenger: Judged, champion: Judged | None, options: PromotionOptions
) -> Findings:
    """All that can be told from what two models said of the same test images."""
    others = [] if champion is None else [champion]
    found = Findings(find_leaks(challenger, challenger, *others))
    if champion is not None:
        found.checks += [*find_unlike(challenger, champion, options)]
        found.checks.append(check_known(challenger, champion))
    if not found.hold:  # what is unlike is not compared
        return found
    metrics = task.new_metrics(challenger.predictions, challenger.classes)
    before = _metrics_beside(task, challenger, champion) if champion else None
    scores = {"challenger": metrics.scores()[task.primary_metric]}
    if before is not None:
        scores["champion"] = before.scores()[task.primary_metric]
    found.numbers["scores"] = {name: _plain(value) for name, value in scores.items()}
    found.checks += _check_defined(scores, challenger, task.primary_metric)
    found.numbers["classes"] = _by_class(metrics, before, options)
    found.checks += check_classes(metrics, before, options)
    ids = challenger.predictions["id"]
    found.checks += check_slices(metrics, before, ids, task.primary_metric, options)
    if before is not None:
        _weigh(found, metrics, before, list(challenger.predictions["unit"]), task, options)
    return found


def _weigh(
    found: Findings,
    metrics: Metrics,
    before: Metrics,
    units: list[str],
    task: Task,
    options: PromotionOptions,
) -> None:
    """Add the gain, where there are enough units to tell one."""
    number = len(set(units))
    if number < options.units_min:
        said = f"{number} independent test images or groups; asked: at least {options.units_min}"
        found.checks.append(Check("units", False, said))
        return
    difference = gain(metrics, before, task.primary_metric, units, options)
    found.numbers["difference"] = difference
    found.checks.append(check_gain(difference, options))


def _metrics_beside(task: Task, challenger: Judged, champion: Judged) -> Metrics:
    """The champion's metrics over the challenger's rows and classes, in the same order.

    Of a class that is new since, the champion said nothing: its columns are 0 there.
    """
    rows = champion.predictions.set_index("id").loc[challenger.predictions["id"]].reset_index()
    table = rows.reindex(columns=list(challenger.predictions.columns))
    new = [name for name in table.columns if name not in champion.predictions.columns]
    return task.new_metrics(table.fillna(dict.fromkeys(new, 0.0)), challenger.classes)


def _check_defined(scores: dict[str, float], challenger: Judged, primary: str) -> list[Check]:
    checks = [
        Check("defined", bool(np.isfinite(value)), f"{primary} of the {name} is {value:.4f}")
        for name, value in scores.items()
    ]
    numbers = challenger.predictions.select_dtypes("number")
    odd = challenger.predictions["id"][~np.isfinite(numbers.to_numpy(float)).all(axis=1)]
    if len(odd):
        said = f"{challenger.name} says what is no number of {_first(odd)}"
        checks.append(Check("defined", False, said))
    return checks


def _by_class(
    metrics: Metrics, before: Metrics | None, options: PromotionOptions
) -> dict[str, dict[str, float | str]]:
    """The score of each class, challenger and champion; empty where there is none so called."""
    sides = {"challenger": metrics} | ({"champion": before} if before is not None else {})
    table = {name: side.per_class().set_index("class") for name, side in sides.items()}
    if options.class_score not in table["challenger"]:
        return {}
    return {
        str(label): {
            name: _plain(float(side[options.class_score][label])) for name, side in table.items()
        }
        for label in table["challenger"].index
    }


def _first(names: pd.Series) -> str:
    return f"{names.iloc[0]} and {len(names) - 1} more" if len(names) > 1 else str(names.iloc[0])


def _no_rule() -> Findings:
    return Findings([Check("rule", False, NO_RULE)])


def _reason(checks: Sequence[Check], champion: Judged | None) -> str:
    failed = [f"{check.rule}: {check.said}" for check in checks if not check.held]
    if failed:
        return "; ".join(failed)
    if champion is None:
        return "no champion stands, and every floor is held"
    return "; ".join(c.said for c in checks if c.rule in ("better", "not_worse"))


def _plain(value: float) -> float | str:
    return float(value) if np.isfinite(value) else "n/a"
