"""Contenders stand on one ground, and each ends with a card that tells what it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from graft.vision.backbones.weights import digest_state
from graft.vision.contenders import fine_tuned
from graft.vision.contenders.fine_tuned import train_fine_tuned, train_scratch, watch_overfitting
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.model import TrainedModel
from graft.vision.tasks import load_trained
from graft.vision.training.options import FineTuningOptions

ENGINE = FeatureExtractionOptions(engine="torch")
PROBING = ProbingOptions(strengths=(0.1, 1.0), folds=2, neighbours=3)
TUNING = FineTuningOptions(epochs=1, batch_size=8)


@pytest.fixture(scope="module")
def probe(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, dict]:
    folder = tmp_path_factory.mktemp("features")
    found = extract_frozen_features(ground, folder, ENGINE)
    return train_probe(ground, found, folder, folder / "checkpoints", PROBING)


def state_digest(model: TrainedModel) -> str:
    return digest_state(dict(model.module.state_dict()))


def test_ground__new_models_start_alike(ground: Ground) -> None:
    one, other = ground.new_model(), ground.new_model()
    assert digest_state(dict(one.state_dict())) == digest_state(dict(other.state_dict()))


def test_ground__the_data_digest_is_over_what_may_be_learned_from(ground: Ground) -> None:
    rows = ground.rows.copy()
    rows.loc[rows["split"] == "test", "sha256"] = "0"
    other_test = Ground(**{**vars_of(ground), "rows": rows})
    rows = ground.rows.copy()
    rows.loc[rows.index[0], "truth"] = '{"classes": ["bee"]}'
    other_truth = Ground(**{**vars_of(ground), "rows": rows})
    assert other_test.data_digest == ground.data_digest
    assert other_truth.data_digest != ground.data_digest


def vars_of(ground: Ground) -> dict:
    return {name: getattr(ground, name) for name in Ground.__dataclass_fields__}


def test_probe__changes_the_head_and_nothing_below(ground: Ground, probe) -> None:
    fresh, fitted = ground.new_model().state_dict(), probe[0].module.state_dict()
    changed = {name for name in fresh if not torch.equal(fresh[name], fitted[name])}
    assert changed == {"head.weight", "head.bias"}


def test_probe__learns_what_the_classes_look_like(ground: Ground, probe) -> None:
    test = ground.split("test")
    predicted = probe[0].predict([ground.pixels.read(sha256) for sha256 in test["sha256"]])
    right = [
        truth in text for truth, text in zip(predicted["prediction"], test["truth"], strict=True)
    ]
    assert np.mean(right) >= 0.7


def test_probe__says_how_it_was_fitted(probe) -> None:
    model, report = probe
    assert model.card.contender == "probe"
    assert report["strength"] in PROBING.strengths
    assert report["training_images"] == 24
    assert set(report["cross_validated_loss"]) == {"0.1", "1.0"}
    assert 0 <= report["neighbours_accuracy"] <= 1


def test_frozen_features__are_computed_once(ground: Ground, tmp_path: Path) -> None:
    first = extract_frozen_features(ground, tmp_path, ENGINE)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")}
    again = extract_frozen_features(ground, tmp_path, ENGINE)
    assert before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")} == before
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(("strategy", "starts"), [("lp_ft", "probe"), ("full", "fresh")])
def test_fine_tuned__starts_from_the_probe_where_its_strategy_says_so(
    ground: Ground,
    probe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    starts: str,
) -> None:
    heads = {"probe": probe[0].module.head.weight, "fresh": ground.new_model().head.weight}
    seen = {}

    def look(name, ground, model, folder, options):
        seen["head"] = model.head.weight.detach().clone()
        raise StopIteration

    monkeypatch.setattr(fine_tuned, "run_training", look)
    options = TUNING.model_copy(update={"strategy": strategy})
    with pytest.raises(StopIteration):
        train_fine_tuned(ground, probe[0], tmp_path, options)
    assert torch.equal(seen["head"], heads[starts])


def test_fine_tuned__is_not_trained_twice(ground: Ground, probe, tmp_path: Path) -> None:
    once, history = train_fine_tuned(ground, probe[0], tmp_path, TUNING)
    again, same = train_fine_tuned(ground, probe[0], tmp_path, TUNING)
    assert state_digest(once) == state_digest(again)
    pd.testing.assert_frame_equal(history, same)
    assert once.card == again.card


def test_scratch__has_the_architecture_and_none_of_the_weights(
    ground: Ground, tmp_path: Path
) -> None:
    model, history = train_scratch(
        ground, tmp_path, TUNING.model_copy(update={"strategy": "scratch"})
    )
    assert model.card.backbone.origin == "none"
    assert model.card.backbone.sha256 == ""
    assert model.card.backbone.architecture == ground.new_model().backbone.contract.architecture
    assert list(history["epoch"]) == [0]


def test_contenders__keep_their_checkpoints_apart(ground: Ground, probe, tmp_path: Path) -> None:
    train_fine_tuned(ground, probe[0], tmp_path, TUNING)
    train_fine_tuned(ground, probe[0], tmp_path, TUNING.model_copy(update={"epochs": 2}))
    train_scratch(ground, tmp_path, TUNING)
    names = sorted(path.name.split("-")[0] for path in tmp_path.glob("*.safetensors"))
    assert names == ["fine_tuned", "fine_tuned", "scratch"]


def test_trained_model__comes_back_from_its_folder_as_it_was(
    ground: Ground, probe, tmp_path: Path
) -> None:
    probe[0].save(tmp_path)
    loaded = load_trained(tmp_path)
    images = [ground.pixels.read(sha256) for sha256 in ground.split("test")["sha256"]]
    assert loaded.card == probe[0].card
    pd.testing.assert_frame_equal(loaded.predict(images), probe[0].predict(images))


def test_card__identity_is_what_a_model_is_and_not_how_long_it_took(probe) -> None:
    card = probe[0].card
    assert card.model_copy(update={"minutes": 9.0, "facts": {}}).identity == card.identity
    assert card.model_copy(update={"temperature": 2.0}).identity != card.identity
    assert card.model_copy(update={"data_digest": "0"}).identity != card.identity


@pytest.mark.parametrize(
    ("train", "val", "warns"),
    [
        ([1.0, 0.5, 0.3, 0.2], [1.0, 0.5, 0.7, 0.9], True),
        ([1.0, 0.5, 0.3, 0.2], [1.0, 0.5, 0.45, 0.5], False),  # the best is the last but one
        ([1.0, 0.5, 0.6, 0.7], [1.0, 0.5, 0.7, 0.9], False),  # training got worse as well
        ([1.0, 0.5], [0.5, 1.0], False),  # too short to say
        ([1.0, 0.5, 0.3, 0.2], [float("nan")] * 4, False),
    ],
)
def test_watch_overfitting__speaks_where_training_and_validation_part(
    train: list[float], val: list[float], warns: bool
) -> None:
    table = pd.DataFrame({"epoch": range(len(train)), "train_loss": train, "val_loss": val})
    table["val_accuracy"] = 0.5
    said = watch_overfitting(table, "accuracy")
    assert bool(said) == warns
    assert not warns or "after epoch 2" in said[0]


@pytest.mark.parametrize(("score", "warns"), [([0.2, 0.5, 0.4, 0.3], True), ([0.2] * 4, False)])
def test_watch_overfitting__looks_at_the_score_of_a_task_without_validation_loss(
    score: list[float], warns: bool
) -> None:
    table = pd.DataFrame({"train_loss": [1.0, 0.5, 0.3, 0.2], "val_loss": float("nan")})
    said = watch_overfitting(table.assign(val_map=score), "map")
    assert bool(said) == warns
    assert not warns or "validation map fell from 0.500 to 0.300" in said[0]


def test_class_weights__weigh_one_on_average_over_the_images() -> None:
    truths = [{"targets": np.eye(3, dtype=np.float32)[kind]} for kind in [0] * 6 + [1] * 3 + [2]]
    weights = np.array(fine_tuned._class_weights(truths))
    assert weights[2] == pytest.approx(6 * weights[0])
    assert np.mean([weights[truth["targets"].argmax()] for truth in truths]) == pytest.approx(1)


def test_sampling_weights__meet_all_classes_equally_often() -> None:
    kinds = np.array([0] * 6 + [1] * 3 + [2])
    weights = fine_tuned._sampling_weights(
        [{"targets": np.eye(3, dtype=np.float32)[kind]} for kind in kinds]
    )
    assert np.bincount(kinds, weights) == pytest.approx([1 / 3] * 3)
