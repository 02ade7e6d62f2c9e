"""Each node calls the library; heavy imports wait until the node runs."""

from pathlib import Path
from typing import Any

from graft.vision.features.options import ProbingOptions


def train_probe(
    ground: Any,
    frozen_features: Any,
    feature_folder: Path,
    checkpoint_folder: Path,
    options: ProbingOptions,
) -> tuple[Any, dict[str, Any]]:
    """The head that fits the frozen features best, and how well it does."""
    from graft.vision.contenders.probe import train_probe

    return train_probe(ground, frozen_features, feature_folder, checkpoint_folder, options)
