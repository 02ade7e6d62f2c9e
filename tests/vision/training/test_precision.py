"""bf16 where it is fast, fp32 where it is not, and nothing left behind."""

import pytest
import torch
from torch import nn

from graft.vision.training import precision
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision, fast_convolutions, linear_head_in_fp32


class Kinds(nn.Module):
    """A pointwise and a depthwise convolution; remembers what the second gave."""

    def __init__(self, dilation: int = 1) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(3, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, dilation=dilation, groups=8)
        self.kinds: list[torch.dtype] = []

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        wide = self.pointwise(maps)
        deep = self.depthwise(wide)
        self.kinds = [wide.dtype, deep.dtype]
        return deep.float().mean()


@pytest.mark.parametrize(("dilation", "kind"), [(1, torch.bfloat16), (2, torch.float32)])
def test_fast_convolutions__widens_what_it_does_not_know_and_leaves_nothing_behind(
    dilation: int, kind: torch.dtype
) -> None:
    model, maps = Kinds(dilation), torch.rand(2, 3, 8, 8)
    with fast_convolutions(model), torch.autocast("cpu", torch.bfloat16):
        model(maps).backward()
    assert model.kinds == [torch.bfloat16, kind]
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())
    assert "forward" not in vars(model.depthwise)
    model(maps)
    assert model.kinds == [torch.float32, torch.float32]


@pytest.mark.parametrize(
    ("asked", "fast", "wanted"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("fp32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
    ],
)
def test_precision__is_as_asked_or_as_the_device_does_best(
    monkeypatch: pytest.MonkeyPatch, asked: str, fast: bool, wanted: torch.dtype
) -> None:
    monkeypatch.setattr(precision, "device_name", lambda: "cpu")
    monkeypatch.setattr(precision, "computes_bf16_fast", lambda device: fast)
    chosen, model = Precision(FineTuningOptions(precision=asked)), Kinds()  # type: ignore[arg-type]
    with chosen.around(model):
        model(torch.rand(1, 3, 8, 8))
    assert model.kinds == [wanted, wanted]


class Headed(nn.Module):
    """Features from a linear layer, and a head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), head


@pytest.mark.parametrize(
    ("head", "wanted"), [(nn.Linear(8, 2), torch.float32), (nn.Conv1d(1, 1, 1), torch.bfloat16)]
)
def test_linear_head_in_fp32__widens_a_head_of_one_linear_layer_alone(
    head: nn.Module, wanted: torch.dtype
) -> None:
    model = Headed(head)
    with linear_head_in_fp32(model), torch.autocast("cpu", torch.bfloat16):
        features = model.body(torch.rand(1, 4))
        assert features.dtype == torch.bfloat16
        assert model.head(features).dtype == wanted
    assert "forward" not in vars(model.head)
