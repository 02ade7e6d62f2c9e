"""The view a backbone needs, and the policy that varies it."""

from graft.pipelines.augmentation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
