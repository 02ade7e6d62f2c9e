"""A training is the same each time, goes on as if it had never stopped, and refuses nonsense."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground
from graft.vision.errors import CheckpointError, TrainingError
from graft.vision.training.checkpoint import FACTS
from graft.vision.training.loop import Trained
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.progress import Progress

SHORT = FineTuningOptions(strategy="full", epochs=3, batch_size=8, batch_norm="moves")


def train(ground: Ground, folder: Path, options: FineTuningOptions = SHORT) -> Trained:
    return run_training("tiny", ground, ground.new_model(), folder, options)


def same(one: Trained, other: Trained) -> bool:
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def trained(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(ground, tmp_path_factory.mktemp("checkpoints"))


@pytest.mark.parametrize("workers", [1, 4])
def test_training__gives_the_same_weights_with_any_number_of_workers(
    ground: Ground, tmp_path: Path, trained: Trained, workers: int
) -> None:
    assert same(train(ground, tmp_path, SHORT.model_copy(update={"workers": 2})), trained)
    options = SHORT.model_copy(update={"workers": workers})
    assert same(train(ground, tmp_path, options), trained)


@pytest.mark.parametrize("epoch", [0, 1])
def test_training__resumed_after_a_fall_ends_bit_for_bit_the_same(
    ground: Ground, tmp_path: Path, trained: Trained, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(self: Progress) -> bool:
        if self.epoch == epoch + 1:
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "should_stop", fall)
        train(ground, tmp_path)
    resumed = train(ground, tmp_path)
    assert same(resumed, trained)
    columns = ["train_loss", "val_loss", "val_accuracy"]
    assert resumed.history[columns].equals(trained.history[columns])


@pytest.mark.parametrize("fact", FACTS)
def test_checkpoint__that_lacks_something_is_refused_by_its_name(
    ground: Ground, tmp_path: Path, fact: str
) -> None:
    import json

    train(ground, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    with safe_open(path, framework="pt") as handle:
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
        facts = json.loads(handle.metadata()["facts"])
    del facts[fact]
    save_file(tensors, path, metadata={"facts": json.dumps(facts)})
    with pytest.raises(CheckpointError, match=rf"no .*{fact}"):
        train(ground, tmp_path)


def test_checkpoint__that_is_cut_off_is_refused_with_what_to_do(
    ground: Ground, tmp_path: Path
) -> None:
    train(ground, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"is damaged.*next: delete"):
        train(ground, tmp_path)


def test_training__refuses_a_loss_that_is_not_finite_and_names_the_images(
    ground: Ground, tmp_path: Path
) -> None:
    model = ground.new_model()
    with torch.no_grad():
        model.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"a loss of nan; nothing moved.*train/"):
        run_training("tiny", ground, model, tmp_path, SHORT)


@pytest.mark.parametrize(
    "strategy", ["probe", "lp_ft", "full", "gradual", "norm_and_bias", "scratch"]
)
def test_strategy__moves_what_it_declares_and_proves_the_rest_frozen(
    ground: Ground, tmp_path: Path, strategy: str
) -> None:
    options = FineTuningOptions(strategy=strategy, epochs=2, batch_size=8, ema_decay=None)  # type: ignore[arg-type]
    model = ground.new_model()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = run_training("tiny", ground, model, tmp_path, options)
    moved = {n for n, t in trained.model.state_dict().items() if not torch.equal(t, start[n])}
    assert trained.frozen["before"] == trained.frozen["after"]
    assert not any("running" in name or "num_batches" in name for name in moved)
    assert {"head.weight", "head.bias"} <= moved
    if strategy == "probe":
        assert moved == {"head.weight", "head.bias"}
    if strategy == "norm_and_bias":
        assert all(start[name].dim() == 1 or name.startswith("head.") for name in moved)


def test_accumulation__of_two_batches_steps_as_one_of_twice_the_size(
    ground: Ground, tmp_path: Path
) -> None:
    plain = {"strategy": "probe", "epochs": 1, "ema_decay": None, "gradient_clip": None}
    plain["precision"] = "fp32"  # rounding of bf16 may turn the sign of a gradient near 0
    one = train(ground, tmp_path, FineTuningOptions(batch_size=24, **plain))  # type: ignore[arg-type]
    two = train(ground, tmp_path, FineTuningOptions(batch_size=12, accumulate=2, **plain))  # type: ignore[arg-type]
    gap = (one.model.head.weight - two.model.head.weight).abs().max()  # type: ignore[union-attr, operator]
    assert float(gap.detach()) < 1e-5


@pytest.mark.parametrize(
    "extra",
    [
        {"mixup_alpha": 0.4, "cutmix_alpha": 1.0},
        {"class_balance": "weights"},
        {"class_balance": "sampling"},
        {"l2_sp": 0.01, "label_smoothing": 0.1, "accumulate": 2},
        {"budget_s": 0.01},
        {"patience": 1},
    ],
    ids=lambda extra: "+".join(extra),
)
def test_training__runs_with_each_option(ground: Ground, tmp_path: Path, extra: dict) -> None:
    found = train(ground, tmp_path, SHORT.model_copy(update=extra))
    assert len(found.history) >= 1
    assert found.history["train_loss"].notna().all()
