"""One shape, stamped once per task."""

from kedro.pipeline import Pipeline, pipeline

from graft.vision.tasks import TASKS

SHARED = {"raw", "pixel_folder", "feature_folder"}
"""Datasets that belong to the case and not to one of its tasks."""


def per_task(shape: Pipeline) -> Pipeline:
    """Stamp a pipeline once per task of the table, each in the task's namespace."""
    shared = SHARED & shape.inputs()
    return sum(
        (pipeline(shape, namespace=task, inputs=shared) for task in TASKS), Pipeline([])
    )
