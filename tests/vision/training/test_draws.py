"""What a sample of any task gets in an epoch depends on seed, epoch and its name alone."""

import hashlib
from itertools import islice
from pathlib import Path

import pytest
import torch
from learning_scenes import TRAIN, lay_learning_scenes
from tiny_training import batches_of, options_of

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.contenders.ground import Ground
from graft.vision.records import Array, Truth
from graft.vision.tasks import TASKS
from graft.vision.training.batches import Batch

EPOCHS, SAMPLES = 8, 40


@pytest.fixture(scope="module", params=TASKS)
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return lay_learning_scenes(request.param, tmp_path_factory.mktemp("pixels"))


def digest_of_draw(view: Array, truth: Truth) -> str:
    """Of the pixels, and of the boxes or the mask that lie in them."""
    found = hashlib.sha256(view.tobytes())
    for name in sorted(truth):
        found.update(name.encode() + truth[name].tobytes())
    return found.hexdigest()


def draws_of(batches: list[Batch]) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in batches:
        views = batch.views.permute(0, 2, 3, 1).contiguous().numpy()
        for name, view, truth in zip(batch.ids, views, batch.truths, strict=True):
            found[name] = digest_of_draw(view, truth)
    return found


def drawn(ground: Ground, epoch: int, workers: int, batch_size: int) -> dict[str, str]:
    options = options_of(workers=workers, batch_size=batch_size)
    return draws_of(list(batches_of(ground, options).epoch(epoch)))


def test_draws__are_the_same_for_any_workers_and_size_of_batches(scenes: Ground) -> None:
    wanted = [drawn(scenes, epoch, 0, TRAIN) for epoch in range(3)]
    assert len(wanted[0]) == TRAIN and not set(wanted[0].values()) & set(wanted[1].values())
    for workers in (0, 1, 2, 4):
        for size in (1, 4, 8):
            found = [drawn(scenes, epoch, workers, size) for epoch in (2, 0, 1)]
            assert found == [wanted[2], wanted[0], wanted[1]]
    short = drawn(scenes, 1, 2, 3)  # the incomplete batch is left out
    assert len(short) == 6 and short.items() <= wanted[1].items()


@pytest.mark.parametrize("workers", [0, 2])
def test_draws__of_an_epoch_that_was_broken_off_are_drawn_again(
    scenes: Ground, workers: int
) -> None:
    options = options_of(workers=workers, batch_size=2)
    batches = batches_of(scenes, options)
    begun = list(islice(batches.epoch(1), 2))
    again, fresh = list(batches.epoch(1)), list(batches_of(scenes, options).epoch(1))
    for one, other, broken in zip(again, fresh, [*begun, None, None], strict=True):
        for same in (other, broken):
            if same is not None:
                assert one.ids == same.ids and torch.equal(one.views, same.views)
                assert draws_of([one]) == draws_of([same])


def test_draws__of_forty_samples_in_eight_epochs_are_all_distinct(scenes: Ground) -> None:
    augmenter = Augmenter(scenes.policy, scenes.task, seed=7)
    pixels, truth = scenes.pixels.read(scenes.rows["sha256"][1]), scenes.truths(scenes.rows)[1]
    # A square: in a scene twice as wide as high few crops fit, and some draws are alike.
    pixels = pixels.repeat(2, axis=0)
    truth = {n: a.repeat(2, axis=0) if n == "mask" else a for n, a in truth.items()}
    views, whole = set[bytes](), set[str]()
    for epoch in range(EPOCHS):
        for sample in range(SAMPLES):
            view, found = augmenter(pixels, truth, epoch, f"{sample:02d}.png")
            views.add(hashlib.sha256(view.tobytes()).digest())
            whole.add(digest_of_draw(view, found))
    assert len(views) == len(whole) == EPOCHS * SAMPLES == 320


def test_draws__of_stored_views_are_those_of_epochs_before_the_first(
    scenes: Ground, tmp_path: Path
) -> None:
    from graft.vision.contenders.frozen_outputs import store_frozen_outputs

    options = options_of(stored_views=2, frozen_stages=2)
    stored = store_frozen_outputs(scenes, scenes.new_model(), tmp_path, options)
    augmenter, rows = Augmenter(scenes.policy, scenes.task, scenes.seed), scenes.split("train")
    for place, said in enumerate(scenes.truths(rows)):
        for epoch in (0, 1, 2):
            pixels = scenes.pixels.read(rows["sha256"][place])
            wanted = augmenter(pixels, said, -(1 + epoch % 2), rows["id"][place])[1]
            found = stored.sample(place, epoch)[1]
            assert found.keys() == wanted.keys()
            assert all((found[key] == wanted[key]).all() for key in wanted)
