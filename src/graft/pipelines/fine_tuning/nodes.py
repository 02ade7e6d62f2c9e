"""Each node calls the library; heavy imports wait until the node runs."""

from pathlib import Path
from typing import Any

from graft.vision.training.options import FineTuningOptions


def fine_tune(
    ground: Any, probe: Any, parent: Any, checkpoint_folder: Path, options: FineTuningOptions
) -> tuple[Any, Any]:
    """The pre-trained backbone, or a parent, tuned on the case; and its history by epoch."""
    from graft.vision.contenders.fine_tuned import train_fine_tuned

    return train_fine_tuned(ground, probe, checkpoint_folder, options, parent)


def train_scratch(
    ground: Any, probe_report: dict[str, Any], checkpoint_folder: Path, options: FineTuningOptions
) -> tuple[Any, Any]:
    """The control: the same architecture without pre-training, on the same data.

    It asks for the probe's report only to come after it: the first score comes first.
    """
    from graft.vision.contenders.fine_tuned import train_scratch

    return train_scratch(ground, checkpoint_folder, options)
