"""Batches: order and contents come from seed and epoch alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_ground import lay_tiny_ground
from tiny_training import batches_of, options_of

from graft.vision.contenders.fine_tuned import _class_weights, _sampling_weights
from graft.vision.contenders.ground import Ground
from graft.vision.training.schedule import rate_at


def ids_of(ground: Ground, epoch: int, **options: object) -> list[list[str]]:
    return [batch.ids for batch in batches_of(ground, options_of(**options)).epoch(epoch)]


def test_epoch__shows_every_image_once_in_an_order_of_its_own(ground: Ground) -> None:
    first, second = ids_of(ground, 0), ids_of(ground, 1)
    names = set(ground.split("train")["id"])
    for found in (first, second):
        assert [len(ids) for ids in found] == [8, 8, 8]
        assert {name for ids in found for name in ids} == names
    assert first != second
    assert first == ids_of(ground, 0)


def test_order__does_not_depend_on_the_size_of_batches(ground: Ground) -> None:
    flat = [
        [name for ids in ids_of(ground, 3, batch_size=size) for name in ids] for size in (4, 12)
    ]
    assert flat[0] == flat[1]


def test_epoch__leaves_out_the_incomplete_batch_and_shrinks_one_that_is_too_large(
    ground: Ground,
) -> None:
    assert [len(ids) for ids in ids_of(ground, 0, batch_size=10)] == [10, 10]
    assert [len(ids) for ids in ids_of(ground, 0, batch_size=100)] == [24]


@pytest.mark.parametrize("workers", [2, 4])
def test_batches__are_the_same_with_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    ground = lay_tiny_ground(tmp_path, preset="natural")
    for one, other in zip(
        batches_of(ground, options_of(workers=1)).epoch(2),
        batches_of(ground, options_of(workers=workers)).epoch(2),
        strict=True,
    ):
        assert one.ids == other.ids
        assert torch.equal(one.views, other.views)


def test_truths__stay_with_their_images(ground: Ground) -> None:
    for batch in batches_of(ground, options_of()).epoch(0):
        said = [ground.classes.names[int(truth["targets"].argmax())] for truth in batch.truths]
        assert all(name in image for name, image in zip(said, batch.ids, strict=True))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Thirty ants, eight bees and two wasps."""
    kinds = [0] * 30 + [1] * 8 + [2] * 2
    return lay_tiny_ground(tmp_path_factory.mktemp("uneven"), kinds=kinds)


def test_sampling__meets_all_classes_equally_often(uneven: Ground) -> None:
    rows = uneven.split("train")
    balance = _sampling_weights(uneven.truths(rows))
    batches = batches_of(uneven, options_of(), balance)
    drawn = np.concatenate([batches.order(epoch) for epoch in range(60)])
    counts = Counter(rows["id"].str.extract(r"/(\w+)_")[0].iloc[drawn])
    assert len(drawn) == 2400
    assert all(700 < count < 900 for count in counts.values())
    assert len(counts) == 3


def test_class_weights__are_inverse_to_the_images_and_one_on_average(uneven: Ground) -> None:
    weights = _class_weights(uneven.truths(uneven.split("train")))
    assert weights == pytest.approx([40 / 90, 40 / 24, 40 / 6])
    assert np.average(weights, weights=[30, 8, 2]) == pytest.approx(1)


@pytest.mark.parametrize("warmup_share", [0.0, 0.1, 0.5])
def test_schedule__warms_up_and_falls_to_nothing(warmup_share: float) -> None:
    rates = [rate_at(step, 40, warmup_share) for step in range(40)]
    peak = int(np.argmax(rates))
    assert all(0 < rate <= 1 for rate in rates)
    assert peak == pytest.approx(warmup_share * 40, abs=1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[peak] > 0.99
    assert rates[-1] < 0.02
