"""Mixup and cutmix for any task: images are mixed, and so is the loss of their two truths."""

from dataclasses import dataclass

import numpy as np
import torch

from graft.vision.errors import OptionsError
from graft.vision.records import Truth
from graft.vision.training.options import FineTuningOptions


@dataclass(frozen=True)
class Mix:
    """``views`` show ``share`` of each image and the rest of its ``partner``."""

    views: torch.Tensor
    partner: list[int]
    share: float


def check_mixing(options: FineTuningOptions, truth: Truth) -> None:
    """Raise `OptionsError` where truths lie at places of the image: half an image has half of
    them, and not all of them half as much."""
    mixing = {
        f"fine_tuning.{name}": getattr(options, name)
        for name in ("mixup_alpha", "cutmix_alpha")
        if getattr(options, name) > 0
    }
    if mixing and truth.keys() != {"targets"}:
        raise OptionsError(
            "mixup and cutmix need truths of whole images",
            found=", ".join(f"{name}: {value:g}" for name, value in mixing.items()),
            allowed="0 for boxes and masks",
            mend="set both to 0, or leave them out",
        )


def mix_views(
    views: torch.Tensor, options: FineTuningOptions, generator: np.random.Generator
) -> Mix | None:
    """Mix a batch (Zhang et al., 2018; Yun et al., 2019), or None when both are off."""
    kinds = [k for k in ("mixup", "cutmix") if getattr(options, f"{k}_alpha") > 0]
    if not kinds or len(views) < 2:
        return None
    kind = kinds[int(generator.integers(len(kinds)))]
    alpha = options.mixup_alpha if kind == "mixup" else options.cutmix_alpha
    share = float(generator.beta(alpha, alpha))
    partner = [int(i) for i in generator.permutation(len(views))]
    # On a GPU a list would be waited for.
    others = views[torch.tensor(partner).to(views.device, non_blocking=True)]
    if kind == "mixup":
        mixed = share * views.float() + (1 - share) * others.float()
        return Mix(mixed.round().to(torch.uint8), partner, share)
    return _cut(views, others, partner, share, generator)


def _cut(
    views: torch.Tensor,
    others: torch.Tensor,
    partner: list[int],
    share: float,
    generator: np.random.Generator,
) -> Mix:
    height, width = views.shape[2:]
    cut = (1 - share) ** 0.5
    centre_y, centre_x = generator.integers(height), generator.integers(width)
    top, bottom = (int(np.clip(centre_y + s * cut * height / 2, 0, height)) for s in (-1, 1))
    left, right = (int(np.clip(centre_x + s * cut * width / 2, 0, width)) for s in (-1, 1))
    mixed = views.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return Mix(mixed, partner, 1 - (bottom - top) * (right - left) / (height * width))
