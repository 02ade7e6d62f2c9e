"""The data of a case as they lie now, with what watching them asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from graft.adapters.retraining.looking import FEATURES, FINGERPRINTS, Seen
from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import IngestionOptions
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.monitoring.sight import Sight
from graft.vision.monitoring.unlabelled import with_units
from graft.vision.store import ArrayStore


@dataclass(frozen=True)
class Present:
    """What was seen of the data, and the stores and options that it was seen by.

    Attributes:
        said: the task's parameters, by block.
    """

    project: Path
    seen: Seen
    said: Mapping[str, Any]

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """Every usable image, with the ``cluster`` and ``unit`` that it belongs to."""
        rows = self.seen.manifest.sort_values("id", kind="stable").reset_index(drop=True)
        return with_units(rows, self.seen.pairs)

    @cached_property
    def refused(self) -> pd.DataFrame:
        """The rows of the quarantine whose files gave no image."""
        table = self.seen.quarantine
        return table[~table["file"].isin(self.seen.manifest["id"])].reset_index(drop=True)

    @cached_property
    def sight(self) -> Sight:
        """The frozen backbone, and what it has seen."""
        ground = self.seen.ground
        options = FeatureExtractionOptions.parse(
            self.said["feature_extraction"], "feature_extraction"
        )
        model, folder = ground.new_model().eval(), self.project / FEATURES
        return Sight(model, ground.pixels, ground.preprocessing, folder, options)

    @cached_property
    def ingestion(self) -> IngestionOptions:
        """How files are read."""
        return IngestionOptions.parse(self.said["ingestion"], "ingestion")

    @cached_property
    def fingerprints(self) -> ArrayStore:
        """Thumbnails that near copies are found by."""
        return open_fingerprints(self.project / FINGERPRINTS, self.ingestion.decoding)
