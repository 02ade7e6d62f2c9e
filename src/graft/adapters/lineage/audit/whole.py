"""All rows of an audit, in the order in which an auditor asks, as a mapping and as text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.adapters.lineage import DIGEST_TAG, UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.code import check_commit, check_diff
from graft.adapters.lineage.audit.conf import (
    check_configuration,
    check_lock,
    check_machine,
    check_seeds,
)
from graft.adapters.lineage.audit.data import (
    check_annotations,
    check_data_version,
    check_images,
    check_splits,
    check_truths,
)
from graft.adapters.lineage.audit.descent import check_parent
from graft.adapters.lineage.audit.model import (
    check_backbone,
    check_metrics,
    check_outputs,
    check_policy,
    check_registered,
)
from graft.adapters.lineage.audit.promoted import check_live, check_promotion
from graft.adapters.lineage.audit.rows import HOLDS, Fault, Row, judged, unrecorded
from graft.adapters.lineage.reading import read_lineage
from graft.vision.errors import DataError

CHECKS: dict[str, Callable[[Audited], Row]] = {
    "data version": check_data_version,
    "images": check_images,
    "splits": check_splits,
    "truths": check_truths,
    "annotation source": check_annotations,
    "code commit": check_commit,
    "uncommitted diff": check_diff,
    "configuration": check_configuration,
    "environment lock": check_lock,
    "machine": check_machine,
    "seeds": check_seeds,
    "backbone": check_backbone,
    "parent": check_parent,
    "augmentation policy": check_policy,
    "metrics": check_metrics,
    "stage outputs": check_outputs,
    "registered bytes": check_registered,
    "promotion": check_promotion,
    "live at registration": check_live,
}
SHOWN_FAULTS = 10
"""Of one fact, in the text; the JSON names all."""


def audit_version(project: Path, version: Any) -> dict[str, Any]:
    """``model``, ``version``, ``holds``, and ``rows``: each fact with its status and faults.

    Holds only where every fact was recorded, could be looked at again, and is as recorded.
    """
    try:
        record = read_lineage(version, project)
    except DataError as error:
        rows = [_no_record(version, str(error)), *(unrecorded(fact) for fact in CHECKS)]
    else:
        case = Audited(project, version, record)
        rows = [judged("record", version.tags[DIGEST_TAG], [])]
        rows += [_row(fact, check, case) for fact, check in CHECKS.items()]
    return {
        "model": version.name,
        "version": str(version.version),
        "holds": all(row.status == HOLDS for row in rows),
        "rows": [row.record() for row in rows],
    }


def _row(fact: str, check: Callable[[Audited], Row], case: Audited) -> Row:
    """One damaged fact must not hide the others."""
    try:
        return check(case)
    except (KeyError, TypeError, AttributeError) as error:
        return unrecorded(fact, f"the record lacks it ({type(error).__name__}: {error})")


def _no_record(version: Any, why: str) -> Row:
    stated = version.tags.get(DIGEST_TAG)
    if stated is None:
        return unrecorded("record", why)
    return judged("record", stated, [Fault("lineage.json", stated, "missing or altered")], why)


def rows_text(report: dict[str, Any]) -> str:
    """The audit as plain text: a line per fact, below it what does not hold."""
    lines = [f"{report['model']} version {report['version']}", ""]
    for row in report["rows"]:
        lines.append(f"  {row['status']:8} {row['fact']:21} {_shown(row)}")
        for fault in row["faults"][:SHOWN_FAULTS]:
            lines.append(f"           {fault['what']}")
            lines.append(f"             expected: {fault['expected']}")
            lines.append(f"             found:    {fault['found']}")
        left = len(row["faults"]) - SHOWN_FAULTS
        if left > 0:
            lines.append(f"           and {left} more; --json names all")
    wrong = [row["fact"] for row in report["rows"] if row["status"] != HOLDS]
    lines += ["", "all holds" if report["holds"] else f"does not hold: {', '.join(wrong)}"]
    return "\n".join(lines)


def _shown(row: dict[str, Any]) -> str:
    recorded = row["recorded"] if len(row["recorded"]) <= 140 else row["recorded"][:137] + "..."
    said = recorded if recorded != UNKNOWN else ""
    return "; ".join(filter(None, [said, row["note"]]))
