"""BatchNorm that stands still is computed in the convolution before it; nothing else changes."""

import pytest
import torch
from torch import nn

from graft.vision.backbones.freezing import set_training_mode
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.model import GraftedModel
from graft.vision.training.folding import find_folds, folded_forwards
from graft.vision.training.forwards import with_forwards

VIEWS = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
MANY = 1_000_000
"""Images in a batch: every fold pays."""


def model_of(name: str) -> GraftedModel:
    """Random weights, with statistics that are worth folding."""
    model = GraftedModel(load_backbone(BackboneOptions(name=name, weights="none")), nn.Identity())
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model.eval()


def gradients(model: GraftedModel) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    model(VIEWS).square().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "name", ["test_efficientnet", "tf_efficientnet_lite0", "test_resnet", "test_byobnet"]
)
def test_folds__give_every_parameter_the_gradient_it_had(name: str) -> None:
    model = model_of(name)
    folds = find_folds(model, VIEWS, MANY)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(folds) == len(norms)
    wanted, before = gradients(model), list(model.state_dict())
    with with_forwards(folded_forwards(folds)):
        found = gradients(model)
        assert list(model.state_dict()) == before
    assert found.keys() == wanted.keys()
    for parameter, gradient in wanted.items():
        off = (found[parameter] - gradient).norm() / gradient.norm()
        assert float(off) < 1e-3, parameter
    assert all("forward" not in vars(module) for module in model.modules())


def test_folds__leave_out_batch_norm_that_moves() -> None:
    model = model_of("test_efficientnet")
    folds = find_folds(model, VIEWS, MANY)
    set_training_mode(model, model.stages[2:], batch_norm_moves=True)
    left = folded_forwards(folds)
    still = {m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and not m.training}
    assert still and {module for module in left if isinstance(module, nn.BatchNorm2d)} == still


def test_find_folds__leaves_modes_and_statistics_as_they_were() -> None:
    model = model_of("test_efficientnet")
    set_training_mode(model, model.stages[1:], batch_norm_moves=True)
    modes = {name: module.training for name, module in model.named_modules()}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    find_folds(model, VIEWS, MANY)
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_find_folds__folds_nothing_where_a_convolution_is_heard_elsewhere_too() -> None:
    model = model_of("test_efficientnet")
    stem = model.backbone.model.conv_stem
    own = model.backbone.forward

    def also_hears_the_stem(images: torch.Tensor) -> torch.Tensor:
        return own(images) + stem(images).mean()

    with with_forwards({model.backbone: also_hears_the_stem}):
        assert len(find_folds(model, VIEWS, MANY)) == 0


@pytest.mark.parametrize("reductions", [(), (4, 8, 16)])
def test_find_folds__folds_where_maps_outweigh_what_a_fold_costs(
    reductions: tuple[int, ...],
) -> None:
    model = model_of("test_efficientnet")
    if reductions:
        model = GraftedModel(model.backbone.pyramid(reductions), nn.Identity()).eval()
    counts = [len(find_folds(model, VIEWS, images)) for images in (1, 64, MANY)]
    assert counts[0] == 0 < counts[1] < counts[2]
    assert counts[2] == sum(isinstance(m, nn.BatchNorm2d) for m in model.backbone.modules())
