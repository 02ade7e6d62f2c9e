"""A model to which one image, and no other, is not a number: a white one."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel

WHITE = "white"


def with_white_images(ground: Ground, *places: int) -> Ground:
    """The ground, in which these rows show nothing but white."""
    rows = ground.rows.copy()
    blank = np.full_like(ground.pixels.read(rows.loc[0, "sha256"]), 255)
    with ground.pixels.array_store.writer() as writer:
        writer.add(WHITE, blank, {"width": blank.shape[1], "height": blank.shape[0]})
    rows.loc[list(places), "sha256"] = WHITE
    return replace(ground, rows=rows)


@torch.no_grad()
def spoil_white(model: GraftedModel) -> None:
    """Let one channel of the stem see white alone, and the next layer overflow where it does."""
    layers = list(model.backbone.modules())
    stem, following = [m for m in layers if isinstance(m, nn.Conv2d)][:2]
    norm = next(m for m in layers if isinstance(m, nn.modules.batchnorm._BatchNorm))
    assert norm.running_mean is not None and norm.running_var is not None
    stem.weight[0] = 1.0
    norm.running_mean[0], norm.running_var[0] = 26.9, 1.0  # white gives 27, all else less
    norm.weight[0], norm.bias[0] = 1000.0, 0.0
    following.weight[:, 0] = 1e37
