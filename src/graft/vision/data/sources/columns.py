"""Which column of a table is what: as the options say, else by the usual names."""

import re
from pathlib import Path

import pandas as pd

from graft.vision.data.options import SourceOptions
from graft.vision.errors import DataError, nearest

USUAL = {
    "path": "path file filename filepath image imagepath imagefile imagename img id",
    "label": "label labels labelname class classes classname category target truth diagnosis tags",
    "split": "split set subset fold partition",
    "group": "group groupid patient patientid subject subjectid track trackid drive driveid caseid "
    "video videoid",
}
"""Small letters only: case, blanks and signs between words do not count."""


def choose_columns(
    table: pd.DataFrame, options: SourceOptions, path: Path
) -> dict[str, str | None]:
    """The column of each role, None where there is none.

    Raises:
        DataError: when a column is declared and absent, or path or label cannot be told.
    """
    names = [str(name) for name in table.columns]
    asked = {
        "path": options.path_column,
        "label": options.label_column,
        "split": options.split_column,
        "group": options.group_column,
    }
    chosen: dict[str, str | None] = {}
    for role, name in asked.items():
        if name is not None and name not in names:
            raise DataError(
                f"{path.name} has no column {name!r}{nearest(name, names)}",
                found=names,
                mend=f"correct ingestion.source.{role}_column",
            )
        chosen[role] = name or usual_column(names, role)
    absent = [name for name in options.label_columns if name not in names]
    if absent:
        raise DataError(f"{path.name} lacks label columns", found=names, allowed=absent)
    if chosen["path"] is None or (chosen["label"] is None and not options.label_columns):
        raise DataError(
            f"{path.name} has no column for {'path' if chosen['path'] is None else 'label'}",
            found=names,
            mend="name it: ingestion.source.path_column, label_column or label_columns",
        )
    return chosen


def usual_column(names: list[str], role: str) -> str | None:
    """The column that has a usual name of this role, the most usual first."""
    plain = {re.sub(r"[\W_]", "", name.lower()): name for name in reversed(names)}
    return next((plain[usual] for usual in USUAL[role].split() if usual in plain), None)
