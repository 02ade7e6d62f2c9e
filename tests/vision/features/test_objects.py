"""What lies under an object is pooled by how it covers the maps; judged rows were held out."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from graft.vision.features import discriminant
from graft.vision.features.discriminant import judge_held_out
from graft.vision.features.objects import WIDEST, ImageOfObjects, pool_objects
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import StatedObject

SIZE_PX = 32
RULER = np.stack(np.meshgrid(np.arange(8), np.arange(8))).astype(np.float16)
"""(2, 8, 8): the column of each place, and its row; a place is 4 px of the view."""


def pooled(one: StatedObject, frame: Frame, *maps: Array) -> Array:
    image = ImageOfObjects("a.png", "a", maps or (RULER,), [one], frame)
    return pool_objects([image], SIZE_PX).vectors


def test_pooling__is_the_mean_of_what_a_box_covers() -> None:
    plain = Frame(32, 32, 1.0, 1.0, 0.0, 0.0)
    assert pooled(StatedObject(0, (8, 4, 16, 8)), plain)[0].tolist() == [2.5, 1]
    # Three quarters of it lie in column 1, a quarter in column 2.
    assert pooled(StatedObject(0, (5, 0, 9, 4)), plain)[0].tolist() == [1.25, 0]
    assert pooled(StatedObject(0, (9.5, 9.5, 9.6, 9.6)), plain)[0].tolist() == [2, 2]


def test_pooling__follows_the_frame_of_a_view_in_its_original() -> None:
    squashed = Frame(64, 128, 0.5, 0.25, 0.0, 0.0)
    assert pooled(StatedObject(0, (16, 16, 32, 32)), squashed)[0].tolist() == [2.5, 1]
    cut = Frame(64, 32, 1.0, 1.0, -16.0, 0.0)
    assert pooled(StatedObject(0, (24, 4, 32, 8)), cut)[0].tolist() == [2.5, 1]


def test_pooling__takes_of_a_box_what_the_grid_says() -> None:
    plain = Frame(32, 32, 1.0, 1.0, 0.0, 0.0)
    grid = np.zeros((8, 8), bool)
    grid[:4, 4:] = True
    assert pooled(StatedObject(0, (8, 8, 16, 16), grid), plain)[0].tolist() == [3, 2]


def test_pooling__joins_all_maps_and_mixes_wide_ones_down() -> None:
    plain = Frame(32, 32, 1.0, 1.0, 0.0, 0.0)
    coarse = np.arange(16, dtype=np.float16).reshape(1, 4, 4)
    assert pooled(StatedObject(0, (8, 4, 16, 8)), plain, RULER, coarse)[0].tolist() == [2.5, 1, 1]
    wide = np.ones((2 * WIDEST, 8, 8), np.float16)
    found = pooled(StatedObject(0, (8, 4, 16, 8)), plain, wide)
    assert found.shape == (1, WIDEST) and np.isfinite(found).all() and found.std() > 0.5


def test_pooling__leaves_out_what_a_view_does_not_show_and_counts_it() -> None:
    cut = Frame(64, 32, 1.0, 1.0, -16.0, 0.0)
    boxes = [(0, 0, 10, 10), (14, 0, 24, 10), (10, 0, 17, 10)]
    image = ImageOfObjects("a.png", "a", [RULER], [StatedObject(1, box) for box in boxes], cut)
    found = pool_objects([image], SIZE_PX)
    assert found.stated == 3 and found.numbers.tolist() == [2]
    assert found.boxes_xyxy.tolist() == [[14, 0, 24, 10]]
    assert pool_objects([], SIZE_PX).vectors.shape == (0, 0)


# --- what is held out ----------------------------------------------------------------------------


def clouds(count: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    class_ids = rng.integers(0, 3, count)
    centres = rng.normal(0, 1, (3, 12))
    return centres[class_ids] + rng.normal(2, 1.2, (count, 12)), class_ids


def test_discriminant__is_that_of_scikit_learn_on_the_other_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discriminant, "SHRINKAGES", (0.3,))
    monkeypatch.setattr(discriminant, "TEMPERATURES", (1.0,))
    monkeypatch.setattr(discriminant, "ROWS", 32)
    vectors, class_ids = clouds(200)
    units = np.array([f"u{n % 2}" for n in range(200)])
    found = judge_held_out(vectors, class_ids, units, 3, folds=5)
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    for unit in ("u0", "u1"):
        held = units == unit
        other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
        other.fit(scaled[~held], class_ids[~held])
        said = other.predict_log_proba(scaled[held])
        stated = said[np.arange(held.sum()), class_ids[held]]
        np.testing.assert_allclose(found.losses[held], -stated, atol=1e-6)
        assert found.likeliest[held].tolist() == said.argmax(axis=1).tolist()


def test_discriminant__says_nothing_of_rare_and_lonely_classes() -> None:
    vectors, class_ids = clouds(60)
    class_ids[class_ids == 2] = 0
    class_ids[:3] = 2
    units = np.array([str(n) for n in range(60)])
    found = judge_held_out(vectors, class_ids, units, 4, folds=5)
    assert np.isnan(found.losses[:3]).all() and np.isfinite(found.losses[3:]).all()
    assert set(found.likeliest.tolist()) <= {0, 1}
    for ids, names in ((np.zeros(60, int), units), (class_ids, np.array(["a"] * 60))):
        assert np.isnan(judge_held_out(vectors, ids, names, 4, folds=5).losses).all()
    assert len(judge_held_out(np.zeros((0, 0)), class_ids[:0], units[:0], 4, 5).losses) == 0


def test_discriminant__survives_features_that_tell_nothing() -> None:
    vectors, class_ids = np.ones((40, 6), np.float16), np.arange(40) % 2
    found = judge_held_out(vectors, class_ids, np.arange(40).astype(str), 2, folds=5)
    assert np.isfinite(found.losses).all()


def test_discriminant__holds_no_more_than_a_part_of_many_rows_in_double_precision() -> None:
    """20,000 rows of 256 half-precision numbers: 10 MB, as doubles 40."""
    import tracemalloc

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20_000, 256), np.float32).astype(np.float16)
    units = np.array([str(n // 13) for n in range(20_000)], object)
    tracemalloc.start()
    judge_held_out(vectors, rng.integers(0, 4, 20_000), units, 4, folds=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 36 * 2**20
