"""One shape, stamped once per task; and the ground that contenders share."""

from pathlib import Path
from typing import Any

from kedro.pipeline import Node, Pipeline, pipeline

from graft.vision.backbones.options import BackboneOptions
from graft.vision.data.options import IngestionOptions
from graft.vision.tasks import TASKS

SHARED = {"raw", "pixel_folder", "feature_folder"}
"""Datasets that belong to the case and not to one of its tasks."""

SHARED_PARAMETERS = {"params:case"}


def per_task(shape: Pipeline) -> Pipeline:
    """Stamp a pipeline once per task of the table, each in the task's namespace."""
    inputs = SHARED & shape.inputs()
    parameters = SHARED_PARAMETERS & shape.inputs()
    stamped = (
        pipeline(shape, namespace=task, inputs=inputs, parameters=parameters) for task in TASKS
    )
    return sum(stamped, Pipeline([]))


def lay_ground(
    task: dict[str, Any],
    class_table: dict[str, Any],
    split_manifest: Any,
    pixel_folder: Path,
    ingestion: IngestionOptions,
    backbone: BackboneOptions,
    backbone_card: dict[str, Any],
    augmentation_policy: dict[str, Any],
    seed: int,
) -> Any:
    """Gather what all contenders of a case stand on."""
    from graft.vision.contenders.ground import lay_ground

    return lay_ground(
        task,
        class_table,
        split_manifest,
        pixel_folder,
        ingestion,
        backbone,
        backbone_card,
        augmentation_policy,
        seed,
    )


# In each pipeline that needs it, so that each can run alone; a sum of pipelines keeps it once.
GROUND = Node(
    lay_ground,
    [
        "params:task",
        "class_table",
        "split_manifest",
        "pixel_folder",
        "params:ingestion",
        "params:backbone",
        "backbone_card",
        "augmentation_policy",
        "params:seed",
    ],
    "ground",
    name="lay_ground",
)
