"""Kedro datasets of graft: what the catalog's ``type`` lines name."""

from graft.adapters.datasets.artifact import ArtifactDataset
from graft.adapters.datasets.folders import FolderDataset, RawFolderDataset
from graft.adapters.datasets.parent import ParentDataset
from graft.adapters.datasets.registered_model import RegisteredModelDataset
from graft.adapters.datasets.trained_model import TrainedModelDataset

__all__ = [
    "ArtifactDataset",
    "FolderDataset",
    "ParentDataset",
    "RawFolderDataset",
    "RegisteredModelDataset",
    "TrainedModelDataset",
]
