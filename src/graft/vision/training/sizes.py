"""Views that grow over a training (progressive resizing): early epochs cost less."""

from collections.abc import Sequence

import torch

from graft.vision.errors import HarmonyError, OptionsError
from graft.vision.model import GraftedModel
from graft.vision.records import Truth
from graft.vision.training.options import FineTuningOptions


def size_at(epoch: int, epochs: int, sizes_px: Sequence[int] | None) -> int | None:
    """The side of views in an epoch (counted from 0) of ``epochs``: each size in equal parts.

    With fewer epochs than sizes the larger ones are kept. None leaves views as they are.
    """
    if sizes_px is None:
        return None
    sizes = sizes_px[-epochs:]
    return sizes[epoch * len(sizes) // epochs]


def check_sizes(
    options: FineTuningOptions, truth: Truth, model: GraftedModel, size_px: int
) -> None:
    """Refuse sizes of views (of side ``size_px``) that cannot be trained at.

    Raises:
        OptionsError: for truths that lie at places of the image, which would have to shrink with
            it, and for sizes that do not rise up to the view's.
        HarmonyError: when the backbone cannot take one of them.
    """
    sizes = options.sizes_px
    if sizes is None:
        return
    found = ", ".join(map(str, sizes))
    if truth.keys() != {"targets"}:
        raise OptionsError(
            "fine_tuning.sizes_px needs truths of whole images",
            found=found,
            allowed="null for boxes and masks",
            mend="leave it out",
        )
    if sorted(set(sizes)) != list(sizes) or not 0 < sizes[0] <= sizes[-1] <= size_px:
        raise OptionsError(
            "fine_tuning.sizes_px must rise, up to the side of the view",
            found=found,
            allowed=f"1 to {size_px}, e.g. {size_px // 2}, {size_px}",
            mend="name other sizes, or leave it out",
        )
    for size in sizes:
        _try(model, size)


def _try(model: GraftedModel, size_px: int) -> None:
    """Some backbones take one size only; they say so when they run."""
    blank = torch.zeros(1, len(model.backbone.mean), size_px, size_px, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            model.eval().features(blank)
    except Exception as error:  # each family of models has its own ways to refuse
        raise HarmonyError(
            f"{model.backbone.contract.architecture} cannot take views of {size_px} px",
            found=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}",
            mend="leave fine_tuning.sizes_px out, or take another backbone",
        ) from error
