"""The data of a case as they lie now, with what watching them asks for."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from graft.adapters.layers import FEATURES
from graft.adapters.retraining.looking import Seen
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.monitoring.unlabelled import with_units

if TYPE_CHECKING:
    from graft.vision.monitoring.sight import Sight


@dataclass(frozen=True)
class Present:
    """What was seen of the data, and how the frozen backbone sees it."""

    seen: Seen

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
    def sight(self) -> "Sight":
        """The frozen backbone, and what it has seen: every image, as a run would extract it."""
        from graft.vision.contenders.probe import extract_frozen_features
        from graft.vision.monitoring.sight import Sight

        ground, folder = self.seen.ground, self.seen.project / FEATURES
        block = self.seen.said["feature_extraction"]
        options = FeatureExtractionOptions.parse(block, "feature_extraction")
        extract_frozen_features(ground, folder, options)
        model = ground.new_model().eval()
        return Sight(model, ground.pixels, ground.preprocessing, folder, options)
