"""Each node calls the library; heavy imports wait until the node runs."""

from pathlib import Path
from typing import Any

from graft.vision.features.options import FeatureExtractionOptions


def extract_features(ground: Any, feature_folder: Path, options: FeatureExtractionOptions) -> Any:
    """Frozen features of every image and view; only what is new is computed."""
    from graft.vision.contenders.probe import extract_frozen_features

    return extract_frozen_features(ground, feature_folder, options)
