"""Augmentation, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines.augmentation.nodes import (
    check_harmony,
    compose_policy,
    describe_backbone,
    preview_policy,
)


def create_pipeline() -> Pipeline:
    """The backbone's contract and view, the policy, and that all of them fit."""
    return Pipeline(
        [
            Node(
                describe_backbone,
                "params:backbone",
                "backbone_card",
                name="describe_backbone",
            ),
            Node(
                compose_policy,
                ["params:task", "backbone_card", "params:augmentation"],
                "augmentation_policy",
                name="compose_policy",
            ),
            Node(
                check_harmony,
                ["backbone_card", "augmentation_policy", "class_table", "params:ingestion"],
                "harmony",
                name="check_harmony",
            ),
            Node(
                preview_policy,
                [
                    "params:task",
                    "augmentation_policy",
                    "split_manifest",
                    "pixel_folder",
                    "params:ingestion",
                ],
                "policy_preview",
                name="preview_policy",
            ),
        ]
    )
