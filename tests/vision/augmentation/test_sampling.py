"""What a sample gets depends on (seed, epoch, sample id), and on nothing else."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_policies import policy
from tiny_ground import draw_image

from graft.vision.augmentation.preview import preview_policy
from graft.vision.augmentation.sampling import Augmenter, sample_seed
from graft.vision.contenders.ground import Ground
from graft.vision.task import Task
from graft.vision.tasks import choose_task

TASK: Task = choose_task({"name": "classification"})[0]
NAMES = [f"{i:02d}.png" for i in range(40)]
EPOCHS = 8
WHERE = [(name, epoch) for epoch in range(EPOCHS) for name in NAMES]


def digest_of_draw(augmenter: Augmenter, name: str, epoch: int) -> str:
    pixels, _ = augmenter(draw_image(0, 0, 96), {}, epoch, name)
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.fixture(scope="module", params=["natural", "traffic_sign"])
def drawn(request: pytest.FixtureRequest) -> tuple[dict[str, Any], list[str]]:
    """A policy, and the digest of each of its 320 draws from one image."""
    built = policy(request.param)
    augmenter = Augmenter(built, TASK, seed=7)
    return built, [digest_of_draw(augmenter, name, epoch) for name, epoch in WHERE]


def test_draws__of_forty_samples_in_eight_epochs_are_all_distinct(drawn) -> None:
    assert len(set(drawn[1])) == len(drawn[1]) == 320


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_draws__are_the_same_in_any_thread_and_order(drawn, workers: int) -> None:
    built, wanted = drawn
    augmenter = Augmenter(built, TASK, seed=7)
    order = np.random.default_rng(workers).permutation(len(WHERE))
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda i: digest_of_draw(augmenter, *WHERE[i]), order))
    assert found == [wanted[i] for i in order]


def test_draws__of_another_seed_are_others(drawn) -> None:
    built, digests = drawn
    augmenter = Augmenter(built, TASK, seed=8)
    assert digest_of_draw(augmenter, *WHERE[0]) not in digests


def test_draws__ask_no_global_generator(drawn) -> None:
    import random

    import torch

    built, wanted = drawn
    augmenter = Augmenter(built, TASK, seed=7)
    for seed in (1, 2):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        assert digest_of_draw(augmenter, *WHERE[3]) == wanted[3]


def test_draws__of_two_transforms_know_nothing_of_each_other() -> None:
    # albumentations gives every transform of a composition the same seed: then either both turn
    # the image or none does, and two of the four pictures are never seen.
    flips = [{"name": f"{way}Flip", "p": 0.5} for way in ("Horizontal", "Vertical")]
    augmenter = Augmenter(policy("custom", *flips), TASK, seed=7)
    seen = Counter(digest_of_draw(augmenter, *where) for where in WHERE)
    assert len(seen) == 4
    assert min(seen.values()) > 50  # of 320, expected 80, five deviations below: 41


def test_draws__within_a_composition_know_nothing_of_each_other() -> None:
    flips = [{"name": f"{way}Flip", "p": 0.5} for way in ("Horizontal", "Vertical")]
    step = {"name": "Sequential", "transforms": flips, "p": 1.0}
    augmenter = Augmenter(policy("custom", step), TASK, seed=7)
    seen = Counter(digest_of_draw(augmenter, *where) for where in WHERE)
    assert len(seen) == 4 and min(seen.values()) > 50


def test_draws__of_a_composition_are_the_same_in_any_order() -> None:
    inner = [{"name": "GaussNoise"}, {"name": "CoarseDropout"}, {"name": "ElasticTransform"}]
    built = policy("custom", {"name": "SomeOf", "n": 2, "transforms": inner, "p": 0.9})
    one, other = (Augmenter(built, TASK, seed=7) for _ in range(2))
    wanted = [digest_of_draw(one, *where) for where in WHERE[::9]]
    backwards = [digest_of_draw(other, *where) for where in reversed(WHERE[::9])]
    assert backwards[::-1] == wanted


ELSEWHERE = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from test_sampling import TASK, WHERE, Augmenter, digest_of_draw
augmenter = Augmenter(json.load(sys.stdin), TASK, seed=7)
print(json.dumps([digest_of_draw(augmenter, *where) for where in WHERE[::9]]))
"""


def test_draws__are_the_same_in_another_process(drawn) -> None:
    built, wanted = drawn
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps([str(here), str(here.parent)])],
        input=json.dumps(built),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert json.loads(done.stdout) == wanted[::9]


def test_sample_seed__is_written_down() -> None:
    # Of SHA-256 over "0\\0" + "1\\0" + "a": another number here means that no old run replays.
    assert sample_seed(0, 1, "a") == int(hashlib.sha256(b"0\x001\x00a").hexdigest()[:8], 16) // 2
    assert len({sample_seed(*k) for k in [(1, 11, "a"), (11, 1, "a"), (1, 1, "1a")]}) == 3


def test_truth__goes_through_unchanged(drawn) -> None:
    truth = {"targets": np.array([0, 1, 0], np.float32)}
    _, found = Augmenter(drawn[0], TASK, 0)(draw_image(0, 0), truth, 0, "a")
    np.testing.assert_array_equal(found["targets"], truth["targets"])


def test_preview__is_a_picture_of_training_images(ground: Ground) -> None:
    import cv2

    sheet = preview_policy(policy("natural"), TASK, ground.rows, ground.pixels)
    pixels = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.std() > 10
    assert sheet == preview_policy(policy("natural"), TASK, ground.rows, ground.pixels)
