"""What a champion was made of, as its run recorded it."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from graft.adapters.datasets.artifact import read_csv
from graft.adapters.lineage.parents import known_before
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.evidence import called, judged, logged
from graft.adapters.registry import RegistryError
from graft.vision.data.splits import units_of
from graft.vision.errors import DataError
from graft.vision.records import data_digest

if TYPE_CHECKING:
    from graft.vision.promotion.records import Judged


@dataclass(frozen=True)
class Background:
    """The images, the test predictions and the refused files of a registered version.

    Attributes:
        split: the split manifest that it was trained by.
    """

    case: Case
    version: Any
    split: pd.DataFrame

    @property
    def name(self) -> str:
        """NAME/version."""
        return called(self.version)

    @cached_property
    def images(self) -> pd.DataFrame:
        """The split manifest with ``unit``."""
        return self.split.assign(unit=units_of(self.split))

    @property
    def training(self) -> pd.DataFrame:
        """The images that it was trained on."""
        return self.images[self.images["split"] == "train"]

    @cached_property
    def learned(self) -> pd.DataFrame:
        """``id`` and ``sha256`` of what it, or any by whose weights it came to be, was trained or
        tuned on; of its own alone where those are not known: then it cannot be `judged` either."""
        try:
            before = known_before(self.version)
        except (DataError, RegistryError):
            before = None
        known = pd.concat([self.split, before], ignore_index=True)
        return known.loc[known["split"] != "test", ["id", "sha256"]]

    @cached_property
    def judged(self) -> "Judged":
        """What it said of its own test images. Raises `EvidenceError`."""
        return judged(self.case, self.version)

    @cached_property
    def withheld(self) -> set[str]:
        """Ids that its split had left out because they leak; none where that was not recorded."""
        return set(self._table("leaks.csv", "id")["id"])

    @cached_property
    def refused(self) -> pd.DataFrame:
        """The quarantine of its run; empty where it was not recorded."""
        return self._table("quarantine.csv", "file", "reason")

    def refused_since(self, now: pd.DataFrame) -> pd.DataFrame:
        """The rows of a quarantine whose file was not refused for that reason before."""
        known = set(zip(self.refused["file"], self.refused["reason"], strict=True))
        fresh = [pair not in known for pair in zip(now["file"], now["reason"], strict=True)]
        return now[np.array(fresh, bool)].reset_index(drop=True)

    def record(self) -> dict[str, Any]:
        """Counts and the digest of its images."""
        splits = self.images["split"].value_counts()
        by_split = {str(name): int(count) for name, count in splits.items()}
        digest = data_digest(self.images)
        return {"images": len(self.images), "by_split": by_split, "data_sha256": digest}

    def _table(self, name: str, *columns: str) -> pd.DataFrame:
        data = logged(self.case, self.version, name)
        if data is None:
            return pd.DataFrame(columns=list(columns), dtype=str)
        return read_csv(io.BytesIO(data))
