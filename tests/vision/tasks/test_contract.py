"""What holds for every task of the table."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from graft.vision.contenders.ground import Ground
from graft.vision.task import LossOptions, Task
from graft.vision.tasks import TASKS, choose_task, load_trained


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return choose_task({"name": request.param})[0]


def test_truth__keeps_one_row_per_image(task: Task, ground: Ground) -> None:
    assert len(task.read_truth(list(ground.rows["truth"]), ground.classes, ground.masks)) == len(
        ground.rows
    )


def test_loss__is_finite_and_reaches_every_parameter(task: Task, ground: Ground) -> None:
    model, rows = ground.new_model(), ground.split("train")[:4]
    outputs = model(torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
    loss = task.loss(outputs, ground.truths(rows), ground.classes, LossOptions())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_predict__gives_one_row_per_image_with_a_score(task: Task, ground: Ground) -> None:
    for images in (0, 1, 3):
        table = task.predict(torch.zeros(images, 3), ground.classes, 1.0, ())
        assert len(table) == images
        assert {"prediction", "score"} <= set(table.columns)
        assert table["score"].between(0, 1).all()


def test_metrics__of_perfect_predictions_are_one_and_of_wrong_ones_zero(
    task: Task, ground: Ground
) -> None:
    truth = ground.words(ground.rows)
    for shift, wanted in ((0, 1.0), (1, 0.0)):
        said = [ground.classes.names.index(name) for name in truth]
        outputs = 20 * torch.nn.functional.one_hot(torch.tensor([(i + shift) % 3 for i in said]), 3)
        table = task.predict(outputs.float(), ground.classes, 1.0, ()).assign(truth=truth)
        scores = task.new_metrics(table, ground.classes).scores()
        assert next(iter(scores)) == task.primary_metric
        assert scores[task.primary_metric] == wanted


def test_model__saved_and_loaded_predicts_the_same(
    task: Task, ground: Ground, tmp_path: Path
) -> None:
    model = ground.finish("probe", ground.new_model(), "probe", 0.0, {})
    model.save(tmp_path / "model")
    images = [ground.pixels.read(sha256) for sha256 in ground.rows["sha256"][:5]]
    pd.testing.assert_frame_equal(
        load_trained(tmp_path / "model").predict(images), model.predict(images)
    )
    assert {p.suffix for p in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}
