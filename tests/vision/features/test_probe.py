"""The probe: logistic regression as scikit-learn knows it, through the task's own loss."""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch import nn

from graft.vision.errors import TrainingError
from graft.vision.features.options import ProbingOptions
from graft.vision.features.probe import ProbeFit, fit_probe, neighbours_score
from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, Task
from graft.vision.tasks import choose_task

TASK: Task = choose_task({"name": "classification"})[0]


@dataclass
class Sample:
    """Features with their truth; every image its own unit unless said otherwise."""

    features: Array
    kinds: Array
    classes: ClassTable

    @property
    def truths(self) -> list[Truth]:
        names = [[self.classes.names[k] for k in np.atleast_1d(kind)] for kind in self.kinds]
        return TASK.read_truth([json.dumps({"classes": n}) for n in names], self.classes, None)

    @property
    def units(self) -> list[str]:
        return [f"image {i}" for i in range(len(self.features))]

    def fit(self, units: list[str] | None = None, **options: object) -> tuple[ProbeFit, nn.Linear]:
        head = nn.Linear(self.features.shape[1], len(self.classes))
        parsed = ProbingOptions.parse(options, "test")
        chosen = units or self.units
        fitted = fit_probe(
            TASK, self.classes, self.features, self.truths, chosen, head, parsed, seed=0
        )
        return fitted, head


def draw_sample(count: int, classes: int, width: int = 12, spread: float = 1.5) -> Sample:
    """Overlapping clouds; features differ in scale and none is centred."""
    rng = np.random.default_rng(classes)
    kinds = rng.permutation(np.arange(count) % classes)
    centres = rng.normal(0, 1, (classes, width))
    features = (centres[kinds] + rng.normal(0, spread, (count, width))) * rng.uniform(0.2, 3, width)
    names = tuple(f"class {i}" for i in range(classes))
    return Sample((features + 5).astype(np.float32), kinds, ClassTable(names=names))


def scaled(features: Array) -> Array:
    """As the probe scales: centred, and divided by one number for all."""
    centred = features.astype(np.float64) - features.astype(np.float64).mean(axis=0)
    return centred / np.sqrt((centred**2).mean())


def probabilities(head: nn.Linear, sample: Sample) -> Array:
    with torch.no_grad():
        logits = head(torch.from_numpy(sample.features)).double()
    return (logits.softmax(1) if sample.classes.exclusive else logits.sigmoid()).numpy()


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_probe__gives_the_probabilities_of_scikit_learn(classes: int, strength: float) -> None:
    sample = draw_sample(140, classes)
    _, head = sample.fit(strengths=[strength], max_iterations=1000)
    x = scaled(sample.features)
    known = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(x, sample.kinds)
    wanted = known.predict_proba(x)
    if classes == 2:  # scikit-learn fits one logistic function; two-class softmax shrinks half
        known = LogisticRegression(C=2 * strength, max_iter=5000, tol=1e-8).fit(x, sample.kinds)
        wanted = known.predict_proba(x)
    np.testing.assert_allclose(probabilities(head, sample), wanted, atol=1e-3)


def test_probe__of_several_labels_is_one_regression_per_label() -> None:
    single = draw_sample(150, 3)
    extra = single.features[:, 0] > np.median(single.features[:, 0])
    kinds = np.empty(150, object)
    kinds[:] = [
        sorted({int(k), 2} if e else {int(k)}) for k, e in zip(single.kinds, extra, strict=True)
    ]
    classes = ClassTable(names=single.classes.names, exclusive=False)
    sample = Sample(single.features, kinds, classes)
    _, head = sample.fit(strengths=[1.0], max_iterations=1000)
    found, x = probabilities(head, sample), scaled(sample.features)
    targets = np.stack([truth["targets"] for truth in sample.truths])
    for label in range(3):
        # The loss is a mean over labels as well, so that each label weighs a third.
        known = LogisticRegression(C=1 / 3, max_iter=5000, tol=1e-8).fit(x, targets[:, label])
        np.testing.assert_allclose(found[:, label], known.predict_proba(x)[:, 1], atol=1e-3)


@pytest.mark.parametrize(("count", "width"), [(60, 300), (300, 60)])
def test_probe__is_exact_with_more_features_than_images_and_with_fewer(count, width) -> None:
    sample = draw_sample(count, 3, width)
    _, head = sample.fit(strengths=[0.1])
    x = scaled(sample.features)
    known = LogisticRegression(C=0.1, max_iter=9000, tol=1e-10).fit(x, sample.kinds)
    np.testing.assert_allclose(probabilities(head, sample), known.predict_proba(x), atol=2e-4)


def test_probe__ends_where_the_slope_is_nothing() -> None:
    sample = draw_sample(200, 10, 40, spread=4.0)
    fitted, _ = sample.fit(strengths=[1.0])
    plain, x = sample.features.astype(np.float64), scaled(sample.features)
    weight = fitted.weight.numpy() * np.sqrt(np.square(plain - plain.mean(0)).mean())
    odds = plain @ fitted.weight.numpy().T + fitted.bias.numpy()
    shares = np.exp(odds - odds.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    truth = np.eye(10)[sample.kinds]
    slope = (shares - truth).T @ x / 200 + weight / 200
    assert np.abs(slope).max() < 1e-4
    assert np.abs((shares - truth).mean(0)).max() < 1e-4


def test_probe__with_features_that_are_not_finite_is_refused() -> None:
    sample = draw_sample(30, 3)
    sample.features[4, 1] = np.nan
    with pytest.raises(TrainingError, match="not finite; found: in 1 of 30 images"):
        sample.fit()


def test_probe__chooses_the_strength_with_the_least_held_out_loss() -> None:
    fitted, _ = draw_sample(120, 3, spread=3.0).fit(strengths=[1e-4, 1e-2, 1.0, 1e4], folds=4)
    means = {strength: np.mean(losses) for strength, losses in fitted.fold_losses.items()}
    assert all(len(losses) == 4 for losses in fitted.fold_losses.values())
    assert fitted.strength == min(means, key=lambda s: means[s])
    assert fitted.strength not in (1e-4, 1e4)


def test_probe__keeps_units_together_in_its_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    from graft.vision.features import probe

    sample, met = draw_sample(60, 3), []
    units = [f"patient {i // 5}" for i in range(60)]
    folds = probe._folds

    def watched(*arguments: object) -> list[tuple[Array, Array]]:
        met.extend(folds(*arguments))  # type: ignore[arg-type]
        return met

    monkeypatch.setattr(probe, "_folds", watched)
    sample.fit(units, strengths=[0.1, 1.0])
    assert len(met) == 5
    for train, held in met:
        assert not {units[i] for i in train} & {units[i] for i in held}


def test_probe__is_the_same_again() -> None:
    sample = draw_sample(60, 3)
    one, other = sample.fit()[0], sample.fit()[0]
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)
    assert one.fold_losses == other.fold_losses


def test_probe__with_features_that_do_not_vary_tells_the_shares_of_the_classes() -> None:
    sample = draw_sample(30, 3)
    sample.features[:] = 4.0
    _, head = sample.fit()
    np.testing.assert_allclose(probabilities(head, sample), 1 / 3, atol=1e-3)


def test_probe__of_one_class_only_ends_and_names_that_class() -> None:
    sample = draw_sample(12, 3)
    sample.kinds[:] = 1
    _, head = sample.fit()
    found = probabilities(head, sample)
    assert np.isfinite(found).all()
    assert (found.argmax(axis=1) == 1).all()


def test_probe__of_two_images_ends() -> None:
    sample = draw_sample(2, 2)
    fitted, head = sample.fit()
    assert np.isfinite(fitted.strength)
    assert (probabilities(head, sample).argmax(axis=1) == sample.kinds).all()


def test_probe__of_one_unit_only_ends_without_a_word_of_numpy(recwarn) -> None:
    sample = draw_sample(12, 3)
    fitted, head = sample.fit(["patient"] * 12)
    assert np.isfinite(fitted.strength)
    assert torch.isfinite(head.weight).all()
    assert [str(w.message) for w in recwarn if issubclass(w.category, RuntimeWarning)] == []


def test_probe__of_fewer_than_two_images_or_without_a_linear_head_is_refused() -> None:
    sample = draw_sample(3, 3)
    one = Sample(sample.features[:1], sample.kinds[:1], sample.classes)
    with pytest.raises(TrainingError, match=r"two training images or more; found: 1"):
        one.fit()
    with pytest.raises(TrainingError, match="needs a linear head; found: ReLU"):
        fit_probe(
            TASK, sample.classes, sample.features, sample.truths, sample.units,
            nn.ReLU(), ProbingOptions(),
        )  # fmt: skip


def vote(sample: Sample, units: list[str], neighbours: int) -> float:
    """Share of images whose class most of their nearest images of other units have."""
    right = []
    for i in range(len(units)):
        others = [j for j in range(len(units)) if units[j] != units[i]]
        known = NearestNeighbors(n_neighbors=neighbours, metric="cosine").fit(
            sample.features[others]
        )
        near = known.kneighbors(sample.features[i : i + 1], return_distance=False)[0]
        votes = Counter(int(sample.kinds[others[j]]) for j in near)
        most = max(votes.values())
        right.append(min(k for k, n in votes.items() if n == most) == sample.kinds[i])
    return float(np.mean(right))


@pytest.mark.parametrize("neighbours", [1, 5, 10])
@pytest.mark.parametrize("together", [1, 3])
def test_neighbours__score_as_scikit_learns_do_among_other_units(together, neighbours) -> None:
    sample = draw_sample(90, 3)
    units = [f"unit {i // together}" for i in range(90)]
    found = neighbours_score(
        TASK, sample.classes, sample.features, sample.truths, units, neighbours
    )
    assert found == pytest.approx(vote(sample, units, neighbours))


def test_neighbours__score_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = draw_sample(90, 3)
    ask = (TASK, sample.classes, sample.features, sample.truths, sample.units, 5)
    whole = neighbours_score(*ask)
    monkeypatch.setattr("graft.vision.features.neighbours.ROWS", 7)
    assert neighbours_score(*ask) == whole


def test_neighbours__never_ask_an_image_of_the_own_unit() -> None:
    # Few images lie in other units, and those are of the other class: only the own unit is right.
    features = np.eye(2, 4, dtype=np.float32).repeat([6, 2], axis=0) + 0.01
    sample = Sample(features, np.repeat([0, 1], [6, 2]), ClassTable(names=("ant", "bee")))
    units = ["patient 0"] * 6 + ["patient 1"] * 2
    assert neighbours_score(TASK, sample.classes, features, sample.truths, units, 10) == 0.0


def test_neighbours__of_one_unit_only_have_no_score() -> None:
    sample = draw_sample(12, 3)
    score = neighbours_score(
        TASK, sample.classes, sample.features, sample.truths, ["patient"] * 12, 5
    )
    assert np.isnan(score)
