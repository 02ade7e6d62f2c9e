"""The cheap baseline, known before any hour of training."""

from graft.pipelines.probing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
