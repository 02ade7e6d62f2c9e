"""One image that is not a number stops a training of any task, and can be met again from a file."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from learning_scenes import lay_learning_scenes
from safetensors.torch import load_file
from spoiling import spoil_white, with_white_images
from tiny_training import differing, new_training, options_of, state_of

from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.contenders.replaying import origin_of, replay_file, told
from graft.vision.errors import DataError, TrainingError
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.model import GraftedModel
from graft.vision.tasks import TASKS
from graft.vision.training.loop import Training

OPTIONS = {"epochs": 2, "batch_size": 4, "precision": "fp32", "learning_rate": 1e-3}
SPOILED = 5


@pytest.fixture(scope="module", params=TASKS)
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return lay_learning_scenes(request.param, tmp_path_factory.mktemp("pixels"), preset="none")


def spoiled_model(ground: Ground) -> GraftedModel:
    model = ground.new_model()
    spoil_white(model)
    return model


def training_of(ground: Ground, path: Path, **more: object) -> Training:
    model = spoiled_model(ground)
    training = new_training(ground, path, model=model, **{**OPTIONS, **more})
    training.origin = origin_of(ground, model)
    return training


def file_of(error: TrainingError) -> Path:
    found = re.search(
        r"python -m graft\.vision\.contenders\.replaying (\S+\.safetensors)", str(error)
    )
    assert found is not None, str(error)
    return Path(found[1])


@pytest.fixture
def refused(clean: Ground, tmp_path: Path) -> tuple[Training, Path]:
    """A training with a sound epoch behind it, and what it left of the batch that it refused."""
    path = tmp_path / "c.safetensors"

    def fall(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_of(clean, path, after_epoch=fall).run()
    before = path.read_bytes()
    training = training_of(with_white_images(clean, SPOILED), path)
    said = r"epoch 2, batch \d gave a loss of nan; nothing moved"
    with pytest.raises(TrainingError, match=said) as refusal:
        training.run()
    assert path.read_bytes() == before
    return training, file_of(refusal.value)


def test_image__that_is_no_number_reaches_no_weight_and_no_checkpoint(
    clean: Ground, refused: tuple[Training, Path], tmp_path: Path
) -> None:
    training, _ = refused
    assert training.progress.epoch == 1
    assert all(t.isfinite().all() for t in training.model.state_dict().values())
    resumed = training_of(clean, tmp_path / "c.safetensors").run()
    whole = training_of(clean, tmp_path / "whole.safetensors").run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()


def test_training__is_refused_where_a_validation_image_is_no_number(
    clean: Ground, tmp_path: Path
) -> None:
    val = [place for place, split in enumerate(clean.rows["split"]) if split == "val"]
    training = training_of(with_white_images(clean, val[1]), tmp_path / "c.safetensors")
    name = clean.rows["id"][val[1]]
    said = "validation of epoch 1, batch 1 gave outputs that are not finite; found: images "
    with pytest.raises(TrainingError, match=f"{said}{name} and 0 more") as refusal:
        training.run()
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["c.refused.safetensors"]
    again, replayed = replay_file(file_of(refusal.value))
    assert [name for name, most in replayed.alone.items() if not math.isfinite(most)] == [name]
    assert f"  {name}: outputs up to nan  <- not finite" in told(again, replayed).splitlines()


def test_refused_batch__is_met_again_and_tells_the_image(
    clean: Ground, refused: tuple[Training, Path]
) -> None:
    training, file = refused
    again, replayed = replay_file(file)
    assert str(replayed.loss) == "nan" and again.facts["found"] == "a loss of nan"
    assert differing(state_of(training.model), dict(again.state)) == set()
    white = clean.rows["id"][SPOILED]
    assert [name for name, loss in replayed.alone.items() if math.isnan(loss)] == [white]
    lines = told(again, replayed).splitlines()
    assert lines[0].startswith("tiny: epoch 2, batch ") and lines[0].endswith("gave a loss of nan")
    assert f"  {white}: a loss of nan  <- not finite" in lines


def test_refused_batch__is_met_again_by_a_command_in_another_process(
    ground: Ground, tmp_path: Path
) -> None:
    options = options_of(**OPTIONS, mixup_alpha=0.3)
    white = with_white_images(ground, *range(24))  # so that what mixing makes is white too
    with pytest.raises(TrainingError) as refusal:
        run_training("tiny", white, spoiled_model(ground), tmp_path, options)
    done = subprocess.run(
        [sys.executable, "-m", "graft.vision.contenders.replaying", str(file_of(refusal.value))],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("tiny: epoch 1, batch 1 gave a loss of nan\nnow: a loss of nan")
    assert done.stdout.count("<- not finite") == 4


@pytest.mark.parametrize("learning_rate", [1e12, 1e30, 1e39])
@pytest.mark.parametrize("batch_norm", ["frozen", "moves"])
def test_training__at_an_absurd_rate_keeps_nothing_that_is_not_finite(
    clean: Ground, tmp_path: Path, learning_rate: float, batch_norm: str
) -> None:
    folder, more = tmp_path / "checkpoints", {"epochs": 6, "batch_size": 4, "ema_decay": 0.9}
    options = options_of(**more, learning_rate=learning_rate, batch_norm=batch_norm)
    try:
        trained = run_training("tiny", clean, clean.new_model(), folder, options)
    except TrainingError as error:
        assert "not finite" in str(error) or "a loss of" in str(error) or "norm of" in str(error)
    else:  # what BatchNorm scales away may stay finite
        assert all(t.isfinite().all() for t in trained.model.state_dict().values())
        assert learning_rate < 1e30
    for path in folder.glob("tiny-*.safetensors"):
        if ".refused" not in path.name:
            assert all(t.isfinite().all() for t in load_file(path).values())


def test_step__that_is_too_long_for_a_weight_is_met_again_and_tells_the_weights(
    clean: Ground, tmp_path: Path
) -> None:
    options = options_of(**OPTIONS | {"learning_rate": 1e39})
    said = r"batch 1 gave weights that are not finite after its step; .*next: lower the learning"
    with pytest.raises(TrainingError, match=said) as refusal:
        run_training("tiny", clean, clean.new_model(), tmp_path, options)
    again, replayed = replay_file(file_of(refusal.value))
    assert not math.isfinite(replayed.loss)
    assert "\nweights that are not finite: " in told(again, replayed)


@pytest.mark.parametrize("fed", ["stored outputs", "features"])
def test_refused_batch__of_what_was_stored_is_met_again(
    clean: Ground, tmp_path: Path, fed: str
) -> None:
    with pytest.raises(TrainingError, match=r"a loss of|a gradient norm of") as refusal:
        if fed == "features":
            if clean.task.name == "classification":
                pytest.skip("its probe is solved, and meets no batch")
            table = extract_frozen_features(clean, tmp_path, FeatureExtractionOptions())
            options = ProbingOptions(learning_rate=1e30, batch_size=4)
            train_probe(clean, table, tmp_path, tmp_path / "checkpoints", options)
        else:
            stored = options_of(
                **{**OPTIONS, "epochs": 6, "learning_rate": 1e30}, stored_views=1, frozen_stages=2
            )
            run_training("tiny", clean, clean.new_model(), tmp_path / "checkpoints", stored)
    refused, replayed = replay_file(file_of(refusal.value))
    assert refused.facts["origin"]["fed"] == fed
    wanted = f"a loss of {replayed.loss}", f"a gradient norm of {replayed.gradient_norm}"
    assert refused.facts["found"] in wanted
    assert not (math.isfinite(replayed.loss) and math.isfinite(replayed.gradient_norm))


def test_model__with_a_weight_that_is_no_number_gets_no_card(ground: Ground) -> None:
    model = ground.new_model()
    with torch.no_grad():
        model.backbone.model.conv_stem.weight[0, 0, 0, 0] = float("inf")  # type: ignore[index]
    with pytest.raises(TrainingError, match=r"1 of its tensors are not finite; found: backbone"):
        ground.finish("fine_tuned", model, "full", 0.0, {})


def test_file__that_is_no_refused_batch_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    for name in ("x.safetensors", "absent.safetensors"):
        with pytest.raises(DataError, match=rf"{name} is no refused batch.*next: name a file"):
            replay_file(tmp_path / name)
