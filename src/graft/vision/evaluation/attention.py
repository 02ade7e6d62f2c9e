"""Where a model looks: Grad-CAM (Selvaraju et al., 2017) on the last feature maps."""

import cv2
import numpy as np
import torch

from graft.vision.model import GraftedModel, as_tensor
from graft.vision.records import Array


def class_activation(model: GraftedModel, view: Array, output: int | None) -> Array:
    """(S, S) float in 0..1: how much each place speaks for one output.

    ``output`` None, as for tasks whose outputs are places themselves: how strong the features
    are there.

    ``view``: (S, S, C) uint8. Models without spatial maps (transformers) are asked by their
    input's gradient.
    """
    model.eval()
    views = as_tensor([view]).to(next(model.parameters()).device)
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, maps: torch.Tensor) -> None:
        # Views are square, so maps whose last sides differ have their channels last: not maps of
        # places by channel, as Swin and some ViTs hand them on.
        if (
            isinstance(maps, torch.Tensor)
            and maps.dim() == 4
            and maps.shape[2] == maps.shape[3] > 1
        ):
            maps.requires_grad_() if maps.is_leaf else maps.retain_grad()
            kept.append(maps)

    if output is None:
        return _strength(model, views, view)
    hooks = [m.register_forward_hook(keep) for m in model.backbone.model.children()]
    scaled = ((views.float() / 255 - model.mean) / model.std).requires_grad_()
    try:
        with torch.enable_grad():
            model.head(model.backbone(scaled))[0, output].backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    heat = _weighted(kept[-1]) if kept and kept[-1].grad is not None else _gradient(scaled)
    return _stretched(heat, view)


def _stretched(heat: Array, view: Array) -> Array:
    heat = cv2.resize(heat, view.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    heat = np.maximum(heat - heat.min(), 0)
    return heat / max(float(heat.max()), 1e-9)


def _strength(model: GraftedModel, views: torch.Tensor, view: Array) -> Array:
    """Mean size of the coarsest maps, place by place."""
    with torch.inference_mode():
        found = model.features(views)
    maps = found if isinstance(found, torch.Tensor) else found[-1]
    if maps.dim() != 4:
        return np.zeros(view.shape[:2], np.float32)
    return _stretched(maps.abs().mean(dim=1)[0].float().cpu().numpy(), view)


def overlay(view: Array, heat: Array) -> Array:
    """The view with warm colours where the heat is; (S, S, 3) uint8."""
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    shown = view if view.shape[2] == 3 else np.repeat(view[:, :, :1], 3, axis=2)
    return (0.55 * shown + 0.45 * colours).astype(np.uint8)


def _weighted(maps: torch.Tensor) -> Array:
    assert maps.grad is not None
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    heat: Array = (weights * maps).sum(dim=1).relu()[0].detach().float().cpu().numpy()
    return heat


def _gradient(scaled: torch.Tensor) -> Array:
    assert scaled.grad is not None
    heat = scaled.grad.abs().amax(dim=1)[0].float().cpu().numpy()
    return cv2.GaussianBlur(heat, (0, 0), heat.shape[0] / 32)
