"""Feature extraction, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines._compose import GROUND
from graft.pipelines.feature_extraction.nodes import extract_features


def create_pipeline() -> Pipeline:
    """Split manifest and pixels to frozen features."""
    return Pipeline(
        [
            GROUND,
            Node(
                extract_features,
                ["ground", "feature_folder", "params:feature_extraction"],
                "frozen_features",
                name="extract_features",
                tags=["gpu"],
            ),
        ]
    )
