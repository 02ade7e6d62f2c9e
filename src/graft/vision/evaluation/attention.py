"""Where a model looks.

Grad-CAM (Selvaraju et al., 2017) on the last feature maps of a model that says one thing of an
image. HiResCAM (Draelos and Carin, 2020) on all maps of a pyramid, whose outputs are places:
there each place has a gradient of its own, and its mean would tell of none.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from graft.vision.model import GraftedModel, as_tensor
from graft.vision.records import Array

BLUR = 1 / 40
"""Of the view's side: maps are coarser than what they are laid over."""
STRONGEST = 0.7
"""Share of the colour where the heat is greatest; the picture shows through."""


def class_activation(
    model: GraftedModel, view: Array, speaks: Callable[[torch.Tensor], torch.Tensor] | None
) -> Array:
    """(S, S) float, 0 or more: how much each place speaks for what ``speaks`` makes of outputs.

    ``view``: (S, S, C) uint8. ``speaks``: a scalar of the model's (1, ...) outputs; None for how
    strong the features are. Models without spatial maps (transformers) are asked by their input's
    gradient.
    """
    model.eval()
    views = as_tensor([view]).to(next(model.parameters()).device)
    if speaks is None:
        return _laid_over(_strength(model, views, view), view)
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, maps: object) -> None:
        if isinstance(maps, torch.Tensor) and _is_map(maps):
            kept.append(_watched(maps))

    hooks = [m.register_forward_hook(keep) for m in model.backbone.model.children()]
    scaled = ((views.float() / 255 - model.mean) / model.std).requires_grad_()
    try:
        with torch.enable_grad():
            features = model.backbone(scaled)
            levels = [] if isinstance(features, torch.Tensor) else [_watched(m) for m in features]
            said = speaks(model.head(features))
            if said.requires_grad:
                said.backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    if levels:
        return _laid_over(_by_place(levels, view.shape[0]), view)
    kept = [maps for maps in kept if maps.grad is not None]
    return _laid_over(_weighted(kept[-1]) if kept else _gradient(scaled), view)


def stretched(heat: Array) -> Array:
    """From 0, where it is least, to 1; all 0 where it is the same everywhere."""
    heat = heat - heat.min()
    return heat / max(float(heat.max()), 1e-12)


def overlay(pixels: Array, heat: Array) -> Array:
    """Grey (H, W, C) uint8 pixels with colours, from purple to yellow, where there is heat.

    ``heat``: (H, W) float in 0..1.

    Returns (H, W, 3) uint8; without heat the picture is seen as it is.
    """
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    grey = pixels[:, :, :3].mean(axis=2, keepdims=True)
    share = STRONGEST * np.sqrt(heat)[:, :, None]
    return np.rint((1 - share) * grey + share * colours).astype(np.uint8)


def _is_map(maps: torch.Tensor) -> bool:
    """Views are square, so maps whose last sides differ have their channels last: no maps of
    places by channel, as Swin and some ViTs hand them on."""
    return maps.dim() == 4 and maps.shape[2] == maps.shape[3] > 1


def _watched(maps: torch.Tensor) -> torch.Tensor:
    maps.requires_grad_() if maps.is_leaf else maps.retain_grad()
    return maps


def _by_place(levels: Sequence[torch.Tensor], side: int) -> Array:
    """Gradient times map, place by place, summed over the levels by what falls on each pixel."""
    heat = np.zeros((side, side), np.float32)
    for maps in levels:
        if maps.grad is not None:
            part = (maps.grad * maps).sum(dim=1).relu()[0].detach().float().cpu().numpy()
            large = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
            heat += large * (part.shape[0] / side) ** 2
    return cv2.GaussianBlur(heat, (0, 0), BLUR * side)


def _weighted(maps: torch.Tensor) -> Array:
    assert maps.grad is not None
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    heat: Array = (weights * maps).sum(dim=1).relu()[0].detach().float().cpu().numpy()
    return heat


def _gradient(scaled: torch.Tensor) -> Array:
    if scaled.grad is None:
        return np.zeros(scaled.shape[2:], np.float32)
    heat = scaled.grad.abs().amax(dim=1)[0].float().cpu().numpy()
    return cv2.GaussianBlur(heat, (0, 0), heat.shape[0] / 32)


def _strength(model: GraftedModel, views: torch.Tensor, view: Array) -> Array:
    """Mean size of the coarsest maps, place by place."""
    with torch.inference_mode():
        found = model.features(views)
    maps = found if isinstance(found, torch.Tensor) else found[-1]
    if maps.dim() != 4:
        return np.zeros(view.shape[:2], np.float32)
    return maps.abs().mean(dim=1)[0].float().cpu().numpy()


def _laid_over(heat: Array, view: Array) -> Array:
    return cv2.resize(heat, view.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0)
