"""Where memory runs out less is computed at once: the same gradients, told and written down."""

import logging
from pathlib import Path

import pytest
import torch
from learning_scenes import lay_learning_scenes
from short_memory import hold_norms, short_of_memory
from tiny_ground import lay_tiny_ground
from tiny_training import differing, history_of, new_training, state_of
from torch import nn

from graft.vision.backbones.freezing import set_training_mode
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.probe import extract_frozen_features
from graft.vision.errors import ResourceError
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.memory import AtOnce, is_out_of_memory
from graft.vision.model import GraftedModel
from graft.vision.records import named_rows
from graft.vision.task import LossOptions
from graft.vision.tasks import TASKS
from graft.vision.training.batches import Batch
from graft.vision.training.gradients import Gradients
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision

ALL = {"batch_size": 8, "precision": "fp32", "strategy": "full", "ema_decay": None}


@pytest.fixture(scope="module", params=TASKS)
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("pixels")
    if request.param == "classification":
        return lay_tiny_ground(folder, train=8, val=4)
    return lay_learning_scenes(request.param, folder, preset="none")


def gradients_of(
    ground: Ground, model: GraftedModel, **options: object
) -> tuple[Gradients, Batch, FineTuningOptions]:
    chosen = FineTuningOptions.parse({**ALL, **options}, "test")
    set_training_mode(model, model.stages, batch_norm_moves=chosen.batch_norm == "moves")
    # Weights by class: a loss that is normalised over the whole batch.
    losses = LossOptions(class_weights=(0.5, 1.0, 2.0), label_smoothing=0.1)
    found = Gradients("tiny", ground.task, ground.classes, model, Precision(chosen), losses, chosen)
    return found, next(ground.plain_batches(ground.split("train"), 8)), chosen


def taken(model: nn.Module) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("most", [5, 3, 1])
def test_gradients__in_parts_are_those_of_the_whole_batch(
    scenes: Ground, most: int, where: str
) -> None:
    model = scenes.new_model()
    hold_norms(model.head)
    whole, batch, _ = gradients_of(scenes, model)
    torch.manual_seed(0)
    loss, wanted = whole.add(batch, None), taken(model)
    parts = gradients_of(scenes, model)[0]
    torch.manual_seed(0)
    with short_of_memory(model, most, where) as tried:
        found_loss, found = parts.add(batch, None), taken(model)
    assert parts.at_once.size == {5: 4, 3: 2, 1: 1}[most] and max(tried) == 8
    assert found_loss == pytest.approx(loss, rel=1e-6)
    assert found.keys() == wanted.keys() and len(wanted) > 40
    together = torch.cat([g.flatten() for g in wanted.values()]).norm()
    off = torch.cat([(found[n] - g).flatten() for n, g in wanted.items()]).norm()
    assert float(off / together) < 1e-5


def test_batch_norm__that_learns_stops_and_nothing_has_moved(scenes: Ground) -> None:
    model = scenes.new_model()
    gradients, batch, _ = gradients_of(scenes, model, batch_norm="moves")
    start = state_of(model)
    said = r"tiny: memory does not hold a batch, and BatchNorm learns.*found: 8 images, CUDA out of"
    with (
        short_of_memory(model, 4, "backward"),
        pytest.raises(ResourceError, match=f"{said}.*next: lower batch_size.*divide_batch_norm"),
    ):
        gradients.add(batch, None)
    assert differing(start, state_of(model)) == set()
    assert taken(model) == {}


def test_batch_norm__may_learn_from_parts_where_that_is_asked_for(scenes: Ground) -> None:
    model = scenes.new_model()
    options = {"batch_norm": "moves", "divide_batch_norm": True}
    gradients, batch, _ = gradients_of(scenes, model, **options)
    with short_of_memory(model, 4, "backward"):
        gradients.add(batch, None)
    counts = {int(t) for n, t in model.state_dict().items() if n.endswith("num_batches_tracked")}
    assert counts == {2}  # once of each part, though each ran twice and the whole once
    assert len(taken(model)) > 40


def test_memory__that_does_not_hold_one_image_is_named(scenes: Ground) -> None:
    model = scenes.new_model()
    hold_norms(model.head)
    gradients, batch, _ = gradients_of(scenes, model)
    said = r"tiny: memory does not hold a single image; found: CUDA out.*next: make views smaller"
    with short_of_memory(model, 0), pytest.raises(ResourceError, match=said):
        gradients.add(batch, None)
    assert taken(model) == {}


def test_other_errors__are_not_taken_for_it() -> None:
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="must match"):
        AtOnce("tiny", 4).computed(lambda part: part + torch.ones(3), torch.ones(2))


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_training__short_of_memory_is_the_training_that_it_was(
    ground: Ground, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"epochs": 2, "accumulate": 2, "precision": "fp32", "mixup_alpha": 0.3}
    whole, model = new_training(ground, **options).run(), ground.new_model()
    with short_of_memory(model, 3, where), caplog.at_level(logging.WARNING, logger="graft"):
        found = new_training(ground, model=model, **options).run()
    assert list(whole.history["images_at_once"]) == [8, 8]
    assert list(found.history["images_at_once"]) == [2, 2]
    said = [r.getMessage() for r in caplog.records if "out of memory" in r.getMessage()]
    assert "    tiny: out of memory; from here on at most 2 images at once" in said
    columns = ["train_loss", "val_loss", "val_accuracy", "learning_rate"]
    assert (found.history[columns] - whole.history[columns]).abs().to_numpy().max() < 1e-5
    # A step of Adam turns with the sign of gradients that are almost none.
    wanted = state_of(whole.model)
    far = [(n, (t - wanted[n]).abs().max()) for n, t in state_of(found.model).items()]
    assert max(float(off) for _, off in far) < 2e-4


class KilledError(Exception):
    """Stands for what ends a process between two epochs."""


def test_training__goes_on_bit_for_bit_with_as_many_at_once(ground: Ground, tmp_path: Path) -> None:
    def fall(row: dict[str, float]) -> None:
        raise KilledError

    def train(path: Path | None, **more: object) -> object:
        model = ground.new_model()
        with short_of_memory(model, 5):
            return new_training(ground, path, model=model, epochs=3, **more).run()  # type: ignore[arg-type]

    whole, path = train(None), tmp_path / "c.safetensors"
    with pytest.raises(KilledError):
        train(path, after_epoch=fall)
    resumed = train(path)
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()  # type: ignore[attr-defined]
    assert history_of(resumed) == history_of(whole)  # type: ignore[arg-type]


def test_validation_and_predictions__are_the_same_in_parts(scenes: Ground) -> None:
    model, images = scenes.new_model(), [scenes.pixels.read(s) for s in scenes.rows["sha256"]]
    trained, validation = scenes.finish("tiny", model, "probe", 0.0, {}), scenes.validation()
    score, outputs = validation.score(model), trained.outputs(images)
    with short_of_memory(model, 3) as tried:
        found, said = validation.score(model), trained.outputs(images)
    assert found == pytest.approx(score, nan_ok=True, rel=1e-5)
    torch.testing.assert_close(said, outputs)
    assert max(tried) > 3 and tried.count(max(tried)) <= 2
    with short_of_memory(model, 0), pytest.raises(ResourceError, match="not hold a single image"):
        trained.outputs(images[:1])


def test_stored_outputs__and_features_are_computed_in_parts(
    scenes: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = FeatureExtractionOptions(engine="torch", batch_size=4, precision="fp32")
    own, most = GraftedModel.flat_features, [2]

    def narrow(self: GraftedModel, views: torch.Tensor) -> torch.Tensor:
        if len(views) > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(self, views)

    with monkeypatch.context() as patch:
        patch.setattr(GraftedModel, "flat_features", narrow)
        found = extract_frozen_features(scenes, tmp_path / "found", options)
        most[0] = 0
        with pytest.raises(ResourceError, match="frozen features: memory does not hold a single"):
            extract_frozen_features(scenes, tmp_path / "none", options)
    half = options.model_copy(update={"batch_size": 2})
    plain = extract_frozen_features(scenes, tmp_path / "found", half)
    # Stored as what they are: features computed in batches of two.
    assert list(plain["namespace"]) == list(found["namespace"])
    assert set(extract_frozen_features(scenes, tmp_path / "found", options)["namespace"]) != set(
        plain["namespace"]
    )
    assert len(list(named_rows(found))) == len(scenes.rows)


def test_frozen_outputs__of_a_training_are_the_same_in_parts(
    scenes: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graft.vision.contenders import frozen_outputs
    from graft.vision.training.after_frozen import AfterFrozen

    options = FineTuningOptions(**{**ALL, "stored_views": 1, "frozen_stages": 2, "epochs": 1})  # type: ignore[arg-type]
    whole = run_training("tiny", scenes, scenes.new_model(), tmp_path / "whole", options)
    own, tried = AfterFrozen.frozen_outputs, []

    def narrow(self: AfterFrozen, views: torch.Tensor) -> torch.Tensor:
        tried.append(len(views))
        if len(views) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(self, views)

    monkeypatch.setattr(AfterFrozen, "frozen_outputs", narrow)
    found = run_training("tiny", scenes, scenes.new_model(), tmp_path / "found", options)
    assert tried[:3] == [frozen_outputs.BATCH, frozen_outputs.BATCH // 2, 8]
    losses = [t.history["train_loss"].iloc[0] for t in (whole, found)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
