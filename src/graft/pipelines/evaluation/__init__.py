"""A verdict, not a number."""

from graft.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
