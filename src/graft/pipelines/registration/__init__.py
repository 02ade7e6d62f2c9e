"""The chosen model in the registry."""

from graft.pipelines.registration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
