"""Frozen features: computed once, stored by content."""

from graft.pipelines.feature_extraction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
