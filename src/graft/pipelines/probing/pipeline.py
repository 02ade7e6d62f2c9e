"""Probing, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines._compose import GROUND
from graft.pipelines.probing.nodes import train_probe


def create_pipeline() -> Pipeline:
    """Frozen features to the probe, the cheap baseline."""
    return Pipeline(
        [
            GROUND,
            Node(
                train_probe,
                [
                    "ground",
                    "frozen_features",
                    "feature_folder",
                    "checkpoint_folder",
                    "params:probing",
                ],
                ["probe", "probe_report"],
                name="train_probe",
            ),
        ]
    )
