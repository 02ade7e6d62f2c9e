"""What holds for every task of the table."""

import json
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
import pytest
import torch
from task_grounds import BACKBONE, CLASSES, HEIGHT, SCENES, VIEW_PX, VOICES, WIDTH, lay_scenes

from graft.vision.contenders.ground import Ground
from graft.vision.errors import HarmonyError
from graft.vision.model import GraftedModel, TrainedModel
from graft.vision.records import Array, Truth
from graft.vision.task import LossOptions, Metrics, Task
from graft.vision.tasks import TASKS, choose_task, load_trained

FLIPS = (A.HorizontalFlip(p=1), A.VerticalFlip(p=1), A.Transpose(p=1))


@pytest.fixture(scope="module", params=TASKS)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Four images of 128x64 px, one without objects, seen at 64 px."""
    return lay_scenes(request.param, tmp_path_factory.mktemp(request.param) / "pixels")


@pytest.fixture(scope="module")
def empty(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Two images without objects."""
    folder = tmp_path_factory.mktemp("empty") / "pixels"
    return lay_scenes(ground.task.name, folder, [SCENES[2], SCENES[2]])


@pytest.fixture
def model(ground: Ground) -> TrainedModel:
    return ground.finish("probe", ground.new_model(), "probe", 0.0, {})


def images_of(ground: Ground) -> list[Array]:
    return [ground.pixels.read(sha256) for sha256 in ground.rows["sha256"]]


def table_of(ground: Ground, shift: int = 0) -> pd.DataFrame:
    """Predictions beside their truth, each class moved on by ``shift``."""
    outputs = VOICES[ground.task.name].outputs(ground, shift)
    table = ground.task.predict(outputs, ground.classes, 1.0, ground.frames(ground.rows))
    return table.assign(truth=ground.words(ground.rows))


def metrics_of(ground: Ground, shift: int = 0) -> Metrics:
    return ground.task.new_metrics(table_of(ground, shift), ground.classes)


def transformed(task: Task, pixels: Array, truth: Truth, *steps: Any) -> tuple[Array, Truth]:
    return task.transform(A.Compose(list(steps), **task.compose_options()), pixels, truth)


def assert_equal_truths(one: Truth, other: Truth) -> None:
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(one[key], other[key], atol=1e-4)


def mean_loss(ground: Ground, model: GraftedModel) -> torch.Tensor:
    batch = next(ground.plain_batches(ground.rows))
    return ground.task.loss(model(batch.views), batch.truths, ground.classes, LossOptions())


def test_table__names_its_tasks_as_they_name_themselves() -> None:
    assert set(VOICES) == set(TASKS)
    assert [choose_task({"name": name})[0].name for name in TASKS] == list(TASKS)


def test_truth__keeps_one_row_per_image(ground: Ground) -> None:
    truths = ground.truths(ground.rows)
    assert len(truths) == len(ground.words(ground.rows)) == len(SCENES)
    for text, truth in zip(ground.rows["truth"], truths, strict=True):
        assert truth["targets"].dtype == np.float32
        there = {name for name, is_there in zip(CLASSES, truth["targets"], strict=True) if is_there}
        assert there == set(json.loads(text)["classes"])


@pytest.mark.parametrize("flip", FLIPS, ids=lambda flip: type(flip).__name__)
def test_transform__of_a_flip_twice_is_the_identity(ground: Ground, flip: Any) -> None:
    for pixels, truth in zip(images_of(ground), ground.truths(ground.rows), strict=True):
        plain, once, twice = (
            transformed(ground.task, pixels, truth, A.NoOp(), *[flip] * times) for times in range(3)
        )
        assert once[0].shape != plain[0].shape or (once[0] != plain[0]).any()
        np.testing.assert_array_equal(twice[0], plain[0])
        assert_equal_truths(twice[1], plain[1])


def test_transform__leaves_what_it_is_given_as_it_was(ground: Ground) -> None:
    pixels, truth = images_of(ground)[1], ground.truths(ground.rows)[1]
    before = pixels.copy(), {key: values.copy() for key, values in truth.items()}
    transformed(ground.task, pixels, truth, *FLIPS, A.Resize(32, 32))
    np.testing.assert_array_equal(pixels, before[0])
    assert_equal_truths(truth, before[1])


def test_loss__is_finite_and_reaches_every_parameter(ground: Ground) -> None:
    model = ground.new_model().train()
    loss = mean_loss(ground, model)
    loss.backward()
    assert loss.dim() == 0 and torch.isfinite(loss)
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_loss__of_images_without_objects_is_finite(empty: Ground) -> None:
    model = empty.new_model().train()
    loss = mean_loss(empty, model)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("images", [0, 1, 3])
def test_predict__survives_images_of_which_nothing_is_said(ground: Ground, images: int) -> None:
    said = VOICES[ground.task.name].outputs(ground, 0)[:images]
    frames = ground.frames(ground.rows[:images])
    table = ground.task.predict(torch.zeros_like(said), ground.classes, 1.0, frames)
    assert len(table) == images
    assert {"prediction", "score"} <= set(table.columns)
    assert table["score"].between(0, 1).all()
    assert all(isinstance(said, str) for said in table["prediction"])


def test_model__predicts_blank_images_and_none_at_all(model: TrainedModel) -> None:
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    some, none = model.predict([blank, blank]), model.predict([])
    assert len(some) == 2 and len(none) == 0
    assert list(some.columns) == list(none.columns)
    assert some["prediction"][0] == some["prediction"][1]


def test_metrics__of_perfect_predictions_are_one(ground: Ground) -> None:
    metrics = metrics_of(ground)
    scores, confusion = metrics.scores(), metrics.confusion()
    assert next(iter(scores)) == ground.task.primary_metric
    assert scores[ground.task.primary_metric] == 1.0
    assert ground.task.class_metric in metrics.per_class()
    assert (metrics.image_scores() == 1).all()
    counts = confusion.loc[list(CLASSES), list(CLASSES)].to_numpy()
    assert np.diag(counts).sum() == confusion.to_numpy().sum() > 0
    confidence, right = metrics.reliability()
    assert right.min() == 1 and confidence.min() > 0.99


def test_metrics__of_wrong_predictions_are_zero(ground: Ground) -> None:
    for shift in (1, 2):
        metrics = metrics_of(ground, shift)
        assert metrics.scores()[ground.task.primary_metric] == 0.0
        has_objects = [bool(json.loads(text)["classes"]) for text in ground.rows["truth"]]
        assert (metrics.image_scores()[has_objects] == 0).all()
        assert np.diag(metrics.confusion().to_numpy()).sum() == 0


def test_metrics__of_nothing_said_are_less_than_perfect(ground: Ground) -> None:
    silent = torch.zeros_like(VOICES[ground.task.name].outputs(ground, 0))
    table = ground.task.predict(silent, ground.classes, 1.0, ground.frames(ground.rows))
    words = ground.words(ground.rows)
    metrics = ground.task.new_metrics(table.assign(truth=words), ground.classes)
    assert table["prediction"].nunique() == 1
    assert metrics.scores()[ground.task.primary_metric] < 0.6
    assert metrics.image_scores()[1] < 1


def test_metrics__of_resampled_rows_are_those_of_a_table_of_these_rows(ground: Ground) -> None:
    right, wrong = table_of(ground), table_of(ground, shift=1)
    table = pd.concat([right[:2], wrong[2:]], ignore_index=True)
    rows = np.array([0, 0, 1, 3, 2, 1])
    metrics = ground.task.new_metrics(table, ground.classes)
    drawn = ground.task.new_metrics(table.iloc[rows].reset_index(drop=True), ground.classes)
    assert metrics.scores(rows) == pytest.approx(drawn.scores(), nan_ok=True)
    assert metrics.scores(np.arange(4)) == pytest.approx(metrics.scores(), nan_ok=True)


def test_metrics__of_a_class_that_is_absent_are_undefined_and_cost_nothing(ground: Ground) -> None:
    table = table_of(ground)[:1]
    said = json.loads(ground.rows["truth"][0])["classes"]
    metrics = ground.task.new_metrics(table, ground.classes)
    assert metrics.scores()[ground.task.primary_metric] == 1.0
    by_class = metrics.per_class().set_index("class")
    absent = by_class.loc[[name for name in CLASSES if name not in said]]
    assert len(absent) and (absent["images"] == 0).all()
    assert absent.select_dtypes("float").isna().all(axis=None)
    assert by_class.loc[said].select_dtypes("float").notna().any(axis=None)


def test_metrics__of_no_images_are_undefined(ground: Ground) -> None:
    metrics = ground.task.new_metrics(table_of(ground)[:0], ground.classes)
    assert all(np.isnan(score) for score in metrics.scores().values())
    assert len(metrics.image_scores()) == 0
    assert list(metrics.per_class()["class"]) == list(CLASSES)


def test_show__draws_any_image_at_any_scale(ground: Ground) -> None:
    metrics = metrics_of(ground, shift=1)
    for row, pixels in enumerate(images_of(ground)):
        for seen in (pixels, pixels[::2, ::2]):
            shown = metrics.show(row, np.ascontiguousarray(seen))
            pictures = [shown.picture, *([] if shown.companion is None else [shown.companion])]
            assert shown.caption
            for picture in pictures:
                assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_model__saved_and_loaded_predicts_the_same(
    ground: Ground, model: TrainedModel, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    again = load_trained(tmp_path / "model")
    assert again.card.identity == model.card.identity
    said = model.predict(images_of(ground))
    assert said["score"].min() > 0
    pd.testing.assert_frame_equal(again.predict(images_of(ground)), said)
    assert {p.suffix for p in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}


def test_model__says_of_one_image_what_it_says_of_it_among_many(
    ground: Ground, model: TrainedModel
) -> None:
    images, frames = images_of(ground), ground.frames(ground.rows)
    many = model.outputs(images)
    for row, pixels in enumerate(images):
        # Sums over batches of another size end in other bits.
        torch.testing.assert_close(model.outputs([pixels]), many[row : row + 1])
        assert model.predict([pixels])["score"][0] == pytest.approx(
            model.predict(images)["score"][row], abs=1e-5
        )
    together = ground.task.predict(many, ground.classes, 1.0, frames)
    alone = [
        ground.task.predict(many[row : row + 1], ground.classes, 1.0, frames[row : row + 1])
        for row in range(len(images))
    ]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), together)


def test_model__answers_for_images_of_any_size(ground: Ground, model: TrainedModel) -> None:
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 50), (200, 30), (VIEW_PX, VIEW_PX)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        table = model.predict([pixels], [(2 * width, 2 * height)])
        assert len(table) == 1 and table["score"].between(0, 1).all()


def test_model__of_tiled_images_says_one_thing_of_each_or_is_refused(
    ground: Ground, tmp_path: Path
) -> None:
    tiles, name = BACKBONE.model_copy(update={"fit": "tiles"}), ground.task.name
    try:
        tiled = lay_scenes(name, tmp_path / "pixels", backbone=tiles)
    except HarmonyError as refusal:
        assert "tiles" in str(refusal)
        return
    model = tiled.finish("probe", tiled.new_model(), "probe", 0.0, {})
    table = model.predict(images_of(tiled))
    assert len(model.outputs(images_of(tiled))) > len(table) == len(SCENES)
    words = tiled.words(tiled.rows)
    scores = tiled.task.new_metrics(table.assign(truth=words), tiled.classes).scores()
    assert 0 <= scores[tiled.task.primary_metric] <= 1
