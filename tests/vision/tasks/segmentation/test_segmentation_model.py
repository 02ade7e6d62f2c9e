from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_masks import CLASSES, IGNORED
from torch import nn

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.errors import HarmonyError, OptionsError
from graft.vision.model import GraftedModel, ModelCard, TrainedModel, load_model
from graft.vision.preprocessing import Preprocessing
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks.segmentation import TASK, TaskOptions
from graft.vision.tasks.segmentation.decoders import DECODERS, halving
from graft.vision.tasks.segmentation.model import TrainingLogits

SMALL = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=32)


def new_model(**options: Any) -> GraftedModel:
    torch.manual_seed(0)
    backbone = load_backbone(SMALL, seed=0)
    return TASK.build_model(backbone, CLASSES, TaskOptions(decoder_channels=64, **options))


def views(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [32, 64, 60, 36, 224, 240])
def test_model__says_logits_at_a_quarter_of_the_view(decoder: str, size: int) -> None:
    model = new_model(decoder=decoder)
    said = model.eval()(views(2, size))
    assert said.shape == (2, 3, size // 4, size // 4)
    training = model.train()(views(2, size))
    assert isinstance(training, TrainingLogits)
    assert training.logits.shape == said.shape


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("count", [1, 3])
def test_model__learns_with_every_parameter_of_its_head(decoder: str, count: int) -> None:
    model = new_model(decoder=decoder, dice_share=0.5).train()
    mask = np.tile(np.array([[0, 1], [2, IGNORED]], np.uint8), (32, 32))
    truth = {"targets": np.ones(3, np.float32), "mask": mask}
    said = TASK.loss(model(views(count, 64)), [truth] * count, CLASSES, LossOptions())
    said.backward()
    assert torch.isfinite(said)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("decoder", DECODERS)
def test_model__learns_four_images_by_heart(decoder: str) -> None:
    model = new_model(decoder=decoder, dropout=0.0).train()
    seen = views(4, 32)
    seen[:, :, :, 16:] //= 4
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 1
    truth = {"targets": np.array([1, 1, 0], np.float32), "mask": mask}
    steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        steps.zero_grad()
        said = TASK.loss(model(seen), [truth] * 4, CLASSES, LossOptions())
        said.backward()
        steps.step()
    assert float(said.detach()) < 0.25


def test_model__is_new_in_its_head_alone_and_keeps_the_names_of_the_backbone() -> None:
    backbone = load_backbone(SMALL, seed=0)
    before = {f"backbone.{name}": tensor.clone() for name, tensor in backbone.state_dict().items()}
    model = TASK.build_model(backbone, CLASSES, TaskOptions(decoder_channels=64))
    kept = {n: t for n, t in model.state_dict().items() if not n.startswith("head.")}
    assert kept
    for name, tensor in kept.items():
        assert torch.equal(tensor, before[name])


def test_model__drops_channels_only_while_it_trains() -> None:
    model = new_model(dropout=0.9).eval()
    assert torch.equal(model(views(1, 32)), model(views(1, 32)))
    model.head.train()
    one, other = (model(views(1, 32)).logits for _ in range(2))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("decoder", DECODERS)
def test_model__saved_and_loaded_predicts_the_same_at_any_size(
    decoder: str, tmp_path: Path
) -> None:
    options = TaskOptions(decoder=decoder, decoder_channels=64)  # type: ignore[arg-type]
    module = TASK.build_model(load_backbone(SMALL, seed=0), CLASSES, options).eval()
    card = ModelCard(
        task="segmentation",
        contender="probe",
        classes=CLASSES,
        task_options=options.model_dump(mode="json"),
        backbone=module.backbone.contract,
        preprocessing=Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3, fit="letterbox"),
        decoding={},
        strategy="probe",
        seed=0,
        data_digest="",
        minutes=0.0,
    )
    model = TrainedModel(card, module, TASK)
    model.save(tmp_path / "model")
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for height, width in ((1, 1), (1, 90), (33, 17), (64, 64))
    ]
    found = load_model(tmp_path / "model", TASK, options).predict(images)
    pd.testing.assert_frame_equal(found, model.predict(images))
    one_by_one = pd.concat([model.predict([image]) for image in images], ignore_index=True)
    pd.testing.assert_frame_equal(found, one_by_one)
    assert {p.suffix for p in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}


def test_model__refuses_classes_that_may_overlap() -> None:
    table = ClassTable(names=("a", "b"), exclusive=False)
    with pytest.raises(HarmonyError, match=r"each pixel one class.*multi_label"):
        TASK.build_model(load_backbone(SMALL, seed=0), table, TaskOptions())


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"decoder": "unt"}, "decoder: .*'unet'"),
        ({"decoder_channels": 40}, "decoder_channels: .*multiple of 32"),
        ({"dice_share": 1.5}, "dice_share"),
        ({"dropuot": 0.1}, "did you mean 'dropout'"),
    ],
)
def test_options__refuse_what_is_not_known(options: dict[str, Any], what: str) -> None:
    with pytest.raises(OptionsError, match=what):
        TaskOptions.parse(options, "task segmentation")


@pytest.mark.parametrize("sides", [(8, 4, 2, 1), (60, 30, 15, 7), (15, 7, 3, 1), (9, 4, 2, 1)])
def test_halving__gives_sides_that_halve_and_leaves_alone_those_that_do(
    sides: tuple[int, ...],
) -> None:
    maps = [torch.randn(1, 2, side, side) for side in sides]
    found = halving(maps)
    heights = [m.shape[2] for m in found]
    assert all(fine == 2 * coarse for fine, coarse in pairwise(heights))
    assert heights[0] >= sides[0]
    if sides == (8, 4, 2, 1):
        assert all(one is other for one, other in zip(maps, found, strict=True))


def test_head__has_no_batch_norm_over_a_single_value() -> None:
    head = new_model(decoder="deeplabv3plus").head
    pooling = head.decoder.aspp[0].convs[-1]
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in pooling.modules())
