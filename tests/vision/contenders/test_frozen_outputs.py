"""From what frozen stages gave and was stored, training is the training that it was without."""

import re
from pathlib import Path

import pytest
import torch
from task_grounds import VOICES, lay_scenes
from tiny_ground import lay_tiny_ground

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.frozen_outputs import store_frozen_outputs
from graft.vision.contenders.ground import Ground
from graft.vision.errors import HarmonyError, OptionsError
from graft.vision.model import GraftedModel, as_tensor
from graft.vision.task import LossOptions
from graft.vision.training.after_frozen import AfterFrozen
from graft.vision.training.forwards import with_forwards
from graft.vision.training.loop import Trained
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.progress import Progress
from graft.vision.training.strategies import set_trainable

FROZEN = 3
STORED = {
    "strategy": "full",
    "frozen_stages": FROZEN,
    "stored_views": 2,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 2e-3,
}


def options_of(**changes: object) -> FineTuningOptions:
    return FineTuningOptions.parse({**STORED, **changes}, "test")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """The drawn case under a policy that draws."""
    return lay_tiny_ground(tmp_path_factory.mktemp("pixels"), preset="natural")


def gradients(ground: Ground, model: GraftedModel, fed: torch.Tensor, around: Precision):
    """Of the loss over the first training images, by the name of each tensor that learns."""
    model.zero_grad(set_to_none=True)
    truths = ground.truths(ground.split("train"))[: len(fed)]
    with around.around(model):
        outputs = model(fed)
        loss = ground.task.loss(outputs, truths, ground.classes, LossOptions())
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("bf16", 0.05)])
@pytest.mark.parametrize("epoch", [0, 1])
def test_stored_outputs__give_the_gradients_of_the_views_that_they_stand_for(
    drawn: Ground, tmp_path: Path, precision: str, bound: float, epoch: int
) -> None:
    options, model = options_of(precision=precision), drawn.new_model()
    stored = store_frozen_outputs(drawn, model, tmp_path, options)
    rows, truths = drawn.split("train"), drawn.truths(drawn.split("train"))
    augmenter = Augmenter(drawn.policy, drawn.task, drawn.seed)
    views = [
        augmenter(drawn.pixels.read(rows.sha256[i]), truths[i], -(1 + epoch), rows.id[i])[0]
        for i in range(8)
    ]
    set_trainable(model, options, model.stages[FROZEN:])
    plain = Precision(options)  # without folding
    wanted = gradients(drawn, model, as_tensor(views), plain)
    fed = as_tensor([stored.sample(i, epoch)[0] for i in range(8)])
    found = gradients(drawn, stored.model, fed, plain)
    assert wanted.keys() == found.keys()
    assert {model.stage_of(name) for name in found} == set(model.stages[FROZEN:])
    for name, gradient in wanted.items():
        off = (gradient - found[name]).norm() / gradient.norm()
        assert float(off) < bound, name


def test_stored_outputs__are_computed_once_and_again_for_other_frozen_weights(
    drawn: Ground, tmp_path: Path
) -> None:
    rows = {split: len(drawn.split(split)) for split in ("train", "val")}
    model = drawn.new_model()

    def computed(**changes: object) -> int:
        return store_frozen_outputs(drawn, model, tmp_path, options_of(**changes)).computed

    assert computed() == 2 * rows["train"] + rows["val"]
    assert computed() == 0
    assert computed(stored_views=3) == rows["train"]
    assert computed(frozen_stages=2) == 2 * rows["train"] + rows["val"]
    with torch.no_grad():
        model.head.weight.add_(1)  # type: ignore[operator, union-attr, arg-type]
    assert computed() == 0
    with torch.no_grad():
        next(model.backbone.parameters()).add_(1e-3)
    assert computed() == 2 * rows["train"] + rows["val"]


def train(ground: Ground, folder: Path, **changes: object) -> Trained:
    return run_training("stored", ground, ground.new_model(), folder, options_of(**changes))


@pytest.fixture(scope="module")
def trained(drawn: Ground, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(drawn, tmp_path_factory.mktemp("checkpoints"))


def test_training__from_stored_outputs_moves_what_learns_and_proves_what_does_not(
    drawn: Ground, trained: Trained
) -> None:
    start, end = drawn.new_model().state_dict(), trained.model.state_dict()
    assert start.keys() == end.keys()
    moved = {trained.model.stage_of(n) for n in start if not torch.equal(start[n], end[n])}
    assert moved == set(trained.model.stages[FROZEN:])
    assert trained.frozen["before"] == trained.frozen["after"]


@pytest.mark.parametrize("epoch", [1, 2])
def test_training__from_stored_outputs_goes_on_bit_for_bit(
    drawn: Ground, tmp_path: Path, trained: Trained, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(self: Progress) -> bool:
        if self.epoch == epoch:
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "should_stop", fall)
        train(drawn, tmp_path)
    resumed, wanted = train(drawn, tmp_path).model.state_dict(), trained.model.state_dict()
    assert all(torch.equal(resumed[name], wanted[name]) for name in wanted)


def test_training__from_stored_outputs_ends_near_the_one_on_the_same_views(
    tmp_path: Path, ground: Ground
) -> None:
    # A policy without chance: each stored view is the view that is drawn anew elsewhere.
    found = train(ground, tmp_path / "stored", precision="fp32")
    wanted = train(ground, tmp_path / "drawn", precision="fp32", stored_views=0)
    columns = ["train_loss", "val_loss", "val_accuracy"]
    gap = (found.history[columns] - wanted.history[columns]).abs().to_numpy().max()
    assert gap < 1e-3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frozen_stages": 0}, "stored_views needs stages that never learn; found: strategy: full"),
        ({"mixup_alpha": 0.2}, "cannot be mixed or shrunk.*mixup_alpha: 0.2"),
        ({"sizes_px": [16, 32]}, r"cannot be mixed or shrunk.*sizes_px: \(16, 32\)"),
    ],
)
def test_stored_outputs__are_refused_where_they_cannot_stand_for_views(
    drawn: Ground, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(OptionsError, match=said):
        train(drawn, tmp_path, **changes)


@pytest.mark.parametrize("name", VOICES)
def test_stored_outputs__serve_every_task_of_the_table(name: str, tmp_path: Path) -> None:
    ground = lay_scenes(name, tmp_path / "pixels")
    model = ground.new_model()
    options = options_of(precision="fp32", stored_views=1, frozen_stages=len(model.stages) - 2)
    stored = store_frozen_outputs(ground, model, tmp_path, options)
    batch = next(iter(ground.plain_batches(ground.split("train"))))
    found = stored.model(as_tensor([stored.sample(i, 0)[0] for i in range(len(batch.ids))]))
    torch.testing.assert_close(found, model.eval()(batch.views), rtol=1e-4, atol=1e-4)
    for place, truth in enumerate(batch.truths):
        read = stored.sample(place, 0)[1]
        assert read.keys() == truth.keys()
        assert all((read[key] == truth[key]).all() for key in truth)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_byobnet", "test_vit"])
@pytest.mark.parametrize("frozen", [1, 2, -1])
def test_after_frozen__is_the_same_model_of_other_families(name: str, frozen: int) -> None:
    backbone = load_backbone(BackboneOptions(name=name, weights="none", image_size_px=64))
    model, precision = GraftedModel(backbone, torch.nn.Identity()), Precision(options_of())
    after = AfterFrozen(model, backbone.stages[:frozen], 64, precision)
    views = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    stored = after.frozen_outputs(views)
    with torch.no_grad(), precision.around(model):
        found, wanted = after(stored), model(views)
    off = (found - wanted).abs().max() / wanted.abs().max()
    assert float(off) < 0.02


def test_after_frozen__says_which_architecture_cannot_start_in_its_middle() -> None:
    backbone = load_backbone(BackboneOptions(name="test_efficientnet", weights="none"))
    model, own = GraftedModel(backbone, torch.nn.Identity()), backbone.forward

    def hears_the_stem_again(images: torch.Tensor) -> torch.Tensor:
        return own(images) + backbone.model.conv_stem(images).mean()  # type: ignore[operator]

    said = re.escape(f"test_efficientnet cannot start after {backbone.stages[1]}")
    with (
        with_forwards({backbone: hears_the_stem_again}),
        pytest.raises(HarmonyError, match=f"{said}.*set fine_tuning.stored_views to 0"),
    ):
        AfterFrozen(model, backbone.stages[:2], 64, Precision(options_of()))
