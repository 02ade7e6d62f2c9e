"""Activations give what torch's give, forwards and backwards, and keep no copy."""

import pytest
import torch
from torch import nn

from graft.vision.training.activations import frugal_forwards
from graft.vision.training.forwards import with_forwards


@pytest.mark.parametrize(
    "module",
    [
        nn.ReLU6(inplace=True),
        nn.Hardtanh(-0.5, 0.7),
        nn.SiLU(inplace=True),
        nn.Hardswish(inplace=True),
        nn.Mish(inplace=True),
    ],
)
def test_frugal__is_what_torch_gives(module: nn.Module) -> None:
    values = torch.tensor([-9.0, -0.5, 0.0, 0.3, 0.7, 6.0, 7.0, torch.nan, torch.inf])
    found = []
    for forwards in ({}, frugal_forwards(nn.Sequential(module))):
        leaf = values.clone().requires_grad_()
        with with_forwards(forwards):
            out = module(leaf * 1)
            out.backward(torch.arange(1.0, 10))
            with torch.no_grad():
                still = module(values.clone())
        assert leaf.grad is not None
        found.append((out.detach(), still, leaf.grad))
    for usual, frugal in zip(*found, strict=True):
        torch.testing.assert_close(frugal, usual, rtol=0, atol=0, equal_nan=True)


def test_frugal__leaves_what_needs_no_copy() -> None:
    assert not frugal_forwards(nn.Sequential(nn.ReLU(inplace=True), nn.GELU(), nn.SiLU()))
