"""What a detector learns from."""

from collections.abc import Sequence

import torch

from graft.vision.records import Truth
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.detection.model import Learning


def loss(
    outputs: "Learning | torch.Tensor",
    truths: Sequence[Truth],
    classes: ClassTable,
    options: LossOptions,
) -> torch.Tensor:
    """The sum of the detector's terms over a batch; NaN for the detections of evaluation mode.

    Args:
        outputs: what a model in training mode gave.
        truths: of the same views: boxes in px of the view.
    """
    if isinstance(outputs, torch.Tensor):
        return torch.tensor(float("nan"))
    objects = [
        (
            torch.as_tensor(truth["boxes_xyxy"], device=outputs.device),
            torch.as_tensor(truth["class_ids"], device=outputs.device),
        )
        for truth in truths
    ]
    return torch.stack(list(outputs.losses(objects, options).values())).sum()
