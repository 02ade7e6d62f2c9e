"""The contenders meet on the same images, and the verdict's model goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from tiny_ground import lay_tiny_ground

from graft.vision.contenders.ground import Ground
from graft.vision.contenders.meeting import (
    calibrate_models,
    choose_model,
    judge_contenders,
    of_contender,
    outputs_of,
    predict_contenders,
    score_model,
)
from graft.vision.contenders.page import render_page
from graft.vision.errors import DataError
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.model import TrainedModel

OPTIONS = EvaluationOptions(resamples=100, worst_images=3, attention_images=2)
NAMES = ("probe", "fine_tuned", "scratch")
PLAIN = dict.fromkeys(NAMES, 1.0)


@pytest.fixture
def own(tmp_path: Path) -> Ground:
    """A ground whose stores no other test has written to."""
    return lay_tiny_ground(tmp_path / "pixels", val=12)


def models_on(ground: Ground) -> list[TrainedModel]:
    """Three untrained models, each with a head of its own."""
    models = []
    for minutes, name in enumerate(NAMES):
        module = ground.new_model()
        module.head.bias.data[minutes] = 1.0
        models.append(ground.finish(name, module, name, float(minutes + 1), {"overfitting": []}))
    return models


def quality(rows: pd.DataFrame) -> dict[str, Any]:
    counts = {name: int((rows["split"] == name).sum()) for name in ("train", "val", "test")}
    none = dict.fromkeys(
        ("quarantined", "exact_copies", "near_copies", "leaking_images", "groups"), 0
    )
    lists: dict[str, Any] = {name: [] for name in ("findings", "leaks", "copies")}
    return {"images": len(rows), "data_sha256": "d", "splits": counts, **none, **lists}


def history(val_loss: float = 1.0) -> pd.DataFrame:
    row = {"epoch": 0, "train_loss": 1.0, "val_loss": val_loss, "val_accuracy": val_loss}
    return pd.DataFrame([row])


def page_of(ground: Ground, histories: dict[str, pd.DataFrame]) -> str:
    models = models_on(ground)
    table = predict_contenders(ground, models, PLAIN)
    verdict = judge_contenders(ground, table, models, OPTIONS)
    predictions, scores = score_model(ground, table, verdict, OPTIONS)
    chosen = choose_model(models, verdict, PLAIN)
    preview = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    facts: dict[str, Any] = {"strength": 1.0}
    return render_page(
        "tiny", ground, chosen, predictions, table, scores, verdict, histories, facts,
        quality(ground.rows), preview, OPTIONS,
    )  # fmt: skip


def test_outputs__are_computed_once(own: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = models_on(own)[0], own.split("test")
    first = outputs_of(own, model, rows)
    monkeypatch.setattr(TrainedModel, "outputs", lambda *_: pytest.fail("computed again"))
    assert outputs_of(own, model, rows).equal(first)
    assert outputs_of(own, model, rows.iloc[::-1]).equal(first.flip(0))


def test_outputs__of_another_model_are_its_own(own: Ground) -> None:
    models, rows = models_on(own), own.split("test")
    assert not outputs_of(own, models[0], rows).equal(outputs_of(own, models[1], rows))


def test_outputs__of_equal_images_are_equal(own: Ground) -> None:
    rows = own.split("test").iloc[[0, 0, 1]]
    outputs = outputs_of(own, models_on(own)[0], rows)
    assert outputs[0].equal(outputs[1])


def test_calibrate__leaves_probabilities_alone_without_validation_images(tmp_path: Path) -> None:
    ground = lay_tiny_ground(tmp_path, val=12)
    rows = ground.rows[ground.rows["split"] != "val"]
    assert calibrate_models(replace(ground, rows=rows), models_on(ground)) == PLAIN


def test_calibrate__gives_each_contender_a_temperature(own: Ground) -> None:
    found = calibrate_models(own, models_on(own))
    assert list(found) == list(NAMES)
    assert all(temperature > 0 for temperature in found.values())


def test_predict__has_one_row_per_contender_and_test_image(own: Ground) -> None:
    table = predict_contenders(own, models_on(own), PLAIN)
    assert len(table) == 3 * 9
    ids = {name: list(of_contender(table, name)["id"]) for name in NAMES}
    assert ids["probe"] == ids["fine_tuned"] == ids["scratch"] == list(own.split("test")["id"])
    assert {"path", "sha256", "unit", "truth", "prediction", "score"} <= set(table.columns)
    assert set(table["truth"]) == set(own.classes.names)


def test_predict__a_temperature_softens_the_score_and_keeps_the_class(own: Ground) -> None:
    models = models_on(own)
    plain = predict_contenders(own, models, PLAIN)
    soft = predict_contenders(own, models, dict.fromkeys(NAMES, 5.0))
    assert list(plain["prediction"]) == list(soft["prediction"])
    assert (soft["score"] < plain["score"]).all()
    assert (soft["uncalibrated_score"] == plain["score"]).all()


def test_predict__without_test_images_says_so(own: Ground) -> None:
    without = replace(own, rows=own.rows[own.rows["split"] != "test"])
    with pytest.raises(DataError, match="no test image"):
        predict_contenders(without, models_on(own), PLAIN)


def test_score__puts_the_primary_metric_first_and_scores_the_chosen(own: Ground) -> None:
    models = models_on(own)
    table = predict_contenders(own, models, PLAIN)
    verdict = judge_contenders(own, table, models, OPTIONS)
    predictions, scores = score_model(own, table, verdict, OPTIONS)
    assert next(iter(scores)) == own.task.primary_metric
    row = next(row for row in verdict["table"] if row["name"] == verdict["chosen"])
    assert scores["accuracy"] == {end: row[end] for end in ("value", "low", "high")}
    right = (predictions["truth"] == predictions["prediction"]).mean()
    assert right == pytest.approx(scores["accuracy"]["value"])


def test_choose__puts_the_temperature_on_the_card(own: Ground) -> None:
    models = models_on(own)
    chosen = choose_model(models, {"chosen": "scratch"}, {**PLAIN, "scratch": 2.5})
    assert chosen.card.contender == "scratch"
    assert chosen.card.temperature == 2.5
    assert models[2].card.temperature == 1.0


def test_page__is_rendered_from_the_records_of_a_run(own: Ground) -> None:
    page = page_of(own, {"fine_tuned": history(), "scratch": history()})
    assert "taken for" in page
    assert page.count("data:image/jpeg") == 3 + 2 * 2


def test_page__is_rendered_without_validation_images(own: Ground, tmp_path: Path) -> None:
    """A history of no validation comes back from its CSV as empty text."""
    history(float("nan")).to_csv(tmp_path / "history.csv", index=False)
    table = pd.read_csv(tmp_path / "history.csv", dtype=str, keep_default_na=False)
    assert "The record" in page_of(own, {"fine_tuned": table, "scratch": table})
