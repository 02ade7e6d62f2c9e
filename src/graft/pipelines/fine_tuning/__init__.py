"""The fine-tuned contender and its control from scratch."""

from graft.pipelines.fine_tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
