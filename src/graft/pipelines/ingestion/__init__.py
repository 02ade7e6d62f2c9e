"""From a folder of images to a manifest and a split that cannot leak."""

from graft.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
