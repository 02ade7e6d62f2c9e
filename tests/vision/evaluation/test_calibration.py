"""A temperature that is there is found; one that is not cannot harm."""

import numpy as np
import pytest
import torch

from graft.vision.evaluation.calibration import (
    fit_score_temperature,
    fit_temperature,
    reliability_bins,
)
from graft.vision.task import ClassTable, LossOptions
from graft.vision.tasks import choose_task

TASK, _ = choose_task({"name": "classification"})
EXCLUSIVE = ClassTable(names=("a", "b", "c"))
SEVERAL = ClassTable(names=("a", "b", "c"), exclusive=False)


def draw(classes: ClassTable, images: int, seed: int) -> tuple[torch.Tensor, list[dict]]:
    """Logits, and truths drawn from the very probabilities that they state."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, len(classes)))
    if classes.exclusive:
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        targets = np.stack([rng.multinomial(1, share) for share in shares])
    else:
        targets = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return torch.from_numpy(logits), [{"targets": row.astype(np.float32)} for row in targets]


def loss(outputs: torch.Tensor, truths: list[dict], classes: ClassTable) -> float:
    return float(TASK.loss(outputs.double(), truths, classes, LossOptions()))


@pytest.mark.parametrize("classes", [EXCLUSIVE, SEVERAL])
@pytest.mark.parametrize("planted", [0.3, 1.0, 4.0])
def test_fit_temperature__finds_a_planted_temperature(classes: ClassTable, planted: float) -> None:
    logits, truths = draw(classes, 3000, seed=1)
    assert fit_temperature(logits * planted, truths, classes, TASK) == pytest.approx(planted, 0.1)


@pytest.mark.parametrize("classes", [EXCLUSIVE, SEVERAL])
@pytest.mark.parametrize("images", [10, 15, 40])
def test_fit_temperature__never_harms_the_loss_on_its_own_data(
    classes: ClassTable, images: int
) -> None:
    for seed in range(10):
        logits, truths = draw(classes, images, seed)
        outputs = logits * np.random.default_rng(seed).uniform(0.02, 60)
        temperature = fit_temperature(outputs, truths, classes, TASK)
        after = loss(outputs / temperature, truths, classes)
        assert after <= loss(outputs, truths, classes) + 1e-9


def test_fit_temperature__sharpens_what_is_always_right_and_flattens_what_is_never() -> None:
    truths = [{"targets": np.eye(3, dtype=np.float32)[i % 3]} for i in range(12)]
    right = torch.tensor(np.stack([truth["targets"] for truth in truths]))
    assert fit_temperature(right, truths, EXCLUSIVE, TASK) < 1
    assert fit_temperature(-right, truths, EXCLUSIVE, TASK) > 1


@pytest.mark.parametrize("images", [0, 1, 9])
def test_fit_temperature__few_images_leave_probabilities_as_they_are(images: int) -> None:
    logits, truths = draw(EXCLUSIVE, max(images, 1), seed=0)
    assert fit_temperature(logits[:images] * 5, truths[:images], EXCLUSIVE, TASK) == 1.0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fit_score_temperature__finds_what_scores_were_spoilt_by(temperature: float) -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 2, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-odds))
    spoilt = 1 / (1 + np.exp(-odds * temperature))
    found = fit_score_temperature(spoilt, right.astype(float))
    assert found == pytest.approx(temperature, rel=0.05)


def test_fit_score_temperature__leaves_few_scores_as_they_are() -> None:
    assert fit_score_temperature(np.full(99, 0.9), np.zeros(99)) == 1.0
    certain = fit_score_temperature(np.repeat([0.0, 1.0], 100), np.repeat([0.0, 1.0], 100))
    assert np.isfinite(certain)


def test_reliability_bins__hold_what_a_hand_counts() -> None:
    confidence = np.array([0.0, 0.05, 0.31, 0.39, 0.95, 1.0])
    right = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    assert reliability_bins(confidence, right) == [
        {"confidence": pytest.approx(0.025), "right": 0.5, "images": 2},
        {"confidence": pytest.approx(0.35), "right": 0.5, "images": 2},
        {"confidence": pytest.approx(0.975), "right": 1.0, "images": 2},
    ]


def test_reliability_bins__count_every_image_once() -> None:
    confidence = np.random.default_rng(0).random(500)
    bins = reliability_bins(confidence, np.ones(500), bins=7)
    assert sum(found["images"] for found in bins) == 500
    assert all(i / 7 <= found["confidence"] <= (i + 1) / 7 for i, found in enumerate(bins))


def test_reliability_bins__of_nothing_are_none() -> None:
    assert reliability_bins(np.zeros(0), np.zeros(0)) == []
