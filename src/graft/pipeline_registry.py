"""Every pipeline by name, in the order data meets them."""

from kedro.pipeline import Pipeline

from graft.pipelines import (
    augmentation,
    evaluation,
    feature_extraction,
    fine_tuning,
    ingestion,
    probing,
    registration,
)
from graft.pipelines._compose import per_task


def register_pipelines() -> dict[str, Pipeline]:
    """The pipelines of all tasks; ``__default__`` is the whole road."""
    pipelines = {
        "ingestion": per_task(ingestion.create_pipeline()),
        "augmentation": per_task(augmentation.create_pipeline()),
        "feature_extraction": per_task(feature_extraction.create_pipeline()),
        "probing": per_task(probing.create_pipeline()),
        "fine_tuning": per_task(fine_tuning.create_pipeline()),
        "evaluation": per_task(evaluation.create_pipeline()),
        "registration": per_task(registration.create_pipeline()),
    }
    return {**pipelines, "__default__": sum(pipelines.values(), Pipeline([]))}
