"""Ingestion, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines.ingestion.nodes import (
    find_near_copies,
    read_manifest,
    report_quality,
    split_manifest,
)


def create_pipeline() -> Pipeline:
    """Raw images to a manifest, a quarantine, a split and a report on quality."""
    return Pipeline(
        [
            Node(
                read_manifest,
                ["raw", "pixel_folder", "params:ingestion"],
                ["manifest", "quarantine", "findings"],
                name="read_manifest",
            ),
            Node(
                find_near_copies,
                ["manifest", "pixel_folder", "params:ingestion"],
                "near_copies",
                name="find_near_copies",
            ),
            Node(
                split_manifest,
                ["manifest", "near_copies", "parent", "params:ingestion"],
                ["split_manifest", "leaks", "class_table", "split_findings"],
                name="split_manifest",
            ),
            Node(
                report_quality,
                [
                    "manifest",
                    "quarantine",
                    "near_copies",
                    "split_manifest",
                    "leaks",
                    "findings",
                    "split_findings",
                ],
                "quality_report",
                name="report_quality",
            ),
        ]
    )
