"""What the champion says of images, by its registered bytes in a clean process: as it is served."""

from typing import Any

import pandas as pd

from graft.adapters.promotion.case import Case
from graft.adapters.promotion.evidence import threads_of
from graft.adapters.promotion.loading import say

AT_ONCE = 200
"""Images of one process, which must end within the rule's ``check_timeout_s``."""


def ask(case: Case, version: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Columns of the task beside ``id``, ``path``, ``sha256`` and ``unit`` of these rows.

    Args:
        rows: ``path`` is below the case's raw folder, or absolute; each path once.

    Raises:
        AlteredModelError: when the bytes are not those registered.
        UnloadableModelError: when they do not predict, or a file is not what it was.
    """
    known = rows[["id", "path", "sha256", "unit"]].reset_index(drop=True)
    threads, said = threads_of(version), []
    for start in range(0, len(known), AT_ONCE):
        part = known.iloc[start : start + AT_ONCE]
        images = dict(zip(part["path"], part["sha256"], strict=True))
        said.append(say(case, version, images, threads)[1])
    return pd.concat([known, pd.concat(said, ignore_index=True)], axis=1)
