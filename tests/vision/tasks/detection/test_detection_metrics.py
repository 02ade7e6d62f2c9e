"""Detection's scores against pycocotools, and what it has no word for against hand counts."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from detection_cases import class_table, coco_class_precisions, coco_scores, draw_table, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graft.vision.task import Illustrated
from graft.vision.tasks.detection.drawing import _meet, _name
from graft.vision.tasks.detection.metrics import INVENTED, MISSED, new_metrics

A, B = [10.0, 10.0, 110.0, 110.0], [300.0, 300.0, 420.0, 400.0]


def table_of(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["truth", "prediction"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    images=st.integers(1, 12),
    classes=st.integers(1, 5),
    objects=st.integers(0, 25),
    predictions=st.sampled_from([0, 3, 20, 130]),
    ties=st.booleans(),
)
def test_scores__equal_pycocotools(
    seed: int, images: int, classes: int, objects: int, predictions: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    table = draw_table(rng, images, classes, objects, predictions, ties=ties)
    names = class_table(classes)
    metrics = new_metrics(table, names)
    wanted = coco_scores(table, names)
    assert metrics.scores() == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    each = coco_class_precisions(table, names)
    assert list(metrics.per_class()["ap"]) == pytest.approx(each, abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**31), images=st.integers(1, 10))
def test_scores__of_resampled_rows_equal_pycocotools_on_the_repeated_table(
    seed: int, images: int
) -> None:
    rng = np.random.default_rng(seed)
    # No equal scores: pycocotools puts equals of one image's copies in an order of its own.
    table, names = draw_table(rng, images, 3, 12, 30, ties=False), class_table(3)
    rows = rng.integers(0, images, images)
    wanted = coco_scores(table.iloc[rows].reset_index(drop=True), names)
    found = new_metrics(table, names).scores(rows)
    assert found == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_scores__of_a_perfect_table_are_one_and_of_an_empty_one_zero() -> None:
    truth = words([A, B], [0, 1])
    perfect = new_metrics(table_of((truth, words([B, A], [1, 0], [0.3, 0.9]))), class_table(3))
    empty = new_metrics(table_of((truth, words([], [], []))), class_table(3))
    assert next(iter(perfect.scores())) == "map"
    assert perfect.scores()["map"] == perfect.scores()["map_large"] == 1.0
    assert empty.scores()["map"] == empty.scores()["mar100"] == 0.0
    assert np.isnan(perfect.scores()["map_small"])


def test_scores__are_undefined_without_objects_and_without_images() -> None:
    nothing = words([], [])
    for table in (table_of((nothing, words([A], [0], [0.9]))), table_of()):
        metrics = new_metrics(table, class_table(2))
        assert np.isnan(list(metrics.scores().values())).all()
        assert metrics.per_class()["ap"].isna().all()


def test_scores__of_a_class_that_is_absent_do_not_count() -> None:
    table = table_of((words([A], [0]), words([A, B], [0, 1], [0.9, 0.8])))
    metrics = new_metrics(table, class_table(2))
    assert metrics.scores()["map"] == 1.0
    assert metrics.per_class()["images"].tolist() == [1, 0]
    assert np.isnan(metrics.per_class()["ap"][1])


def test_confusion__tells_missed_and_invented_objects() -> None:
    table = table_of(
        (words([A, B], [0, 1]), words([A, A, B], [1, 0, 1], [0.9, 0.6, 0.4])),
        (words([A], [0]), words([A], [0], [0.8])),
    )
    counts = new_metrics(table, class_table(2)).confusion()
    assert list(counts.index) == ["c0", "c1", INVENTED]
    assert list(counts.columns) == ["c0", "c1", MISSED]
    # c0 was called c1 once and c0 once; c1 was missed; the second box on A is invented.
    assert counts.to_numpy().tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_image_scores__are_f1_and_one_where_rightly_nothing_was_said() -> None:
    table = table_of(
        (words([A, B], [0, 1]), words([A, B], [0, 1], [0.9, 0.8])),
        (words([A, B], [0, 1]), words([A, B], [0, 1], [0.9, 0.4])),
        (words([], []), words([], [], [])),
        (words([], []), words([A], [0], [0.9])),
    )
    metrics = new_metrics(table, class_table(2))
    assert metrics.image_scores().tolist() == pytest.approx([1, 2 / 3, 1, 0])
    assert metrics.counts()["error"].tolist() == [0, -1, 0, 1]


def test_reliability__tells_score_and_rightness_of_every_box() -> None:
    table = table_of((words([A], [0]), words([A, A, B], [0, 0, 1], [0.7, 0.6, 0.2])))
    scores, right = new_metrics(table, class_table(2)).reliability()
    assert sorted(zip(scores.tolist(), right.tolist(), strict=True)) == [
        (0.2, 0.0),
        (0.6, 0.0),
        (0.7, 1.0),
    ]


def test_curves__fall_from_what_is_right_to_nothing() -> None:
    table = table_of((words([A, B], [0, 0]), words([A, [500, 500, 600, 600]], [0, 0], [0.9, 0.5])))
    curve = new_metrics(table, class_table(1)).curves()
    assert curve["precision"].tolist() == [1.0] * 51 + [0.0] * 50
    assert curve["recall"].tolist() == pytest.approx(np.linspace(0, 1, 101).tolist())


def test_show__draws_on_pixels_of_any_scale() -> None:
    table = table_of((words([A], [0]), words([A, B], [0, 1], [0.9, 0.3])))
    metrics = new_metrics(table, class_table(2))
    for channels, side in ((3, 200), (1, 90), (4, 900)):
        pixels = np.full((side, side, channels), 128, np.uint8)
        shown = metrics.show(0, pixels)
        assert shown.companion is not None
        assert shown.picture.shape == shown.companion.shape == (side, side, 3)
        left, top = round(10 * side / 800), round(60 * side / 800)
        assert (shown.picture[top, left] != 128).any()
        assert (shown.companion != shown.picture).any()
        assert (pixels == 128).all()


def test_show__dashes_what_is_missed_and_what_is_invented() -> None:
    far = [500, 500, 700, 700]
    table = table_of((words([A, far], [0, 0]), words([A, B], [0, 1], [0.9, 0.8])))
    shown = new_metrics(table, class_table(2)).show(0, np.full((800, 800, 3), 128, np.uint8))
    assert shown.companion is not None
    assert shown.caption == "of 2 objects 1 found and 1 missed; 1 wrong or invented"
    bottoms = {"found": (shown.picture, A), "missed": (shown.picture, far)}
    bottoms |= {"right": (shown.companion, A), "invented": (shown.companion, B)}
    for name, (picture, box) in bottoms.items():
        left, _, right, bottom = map(int, box)
        line = picture[bottom, left + 8 : right - 8]
        assert (len(np.unique(line, axis=0)) == 1) == (name in ("found", "right")), name


def test_draw_boxes__never_writes_a_name_on_another() -> None:
    crowd = [[100 + i, 100 + i, 160 + i, 160 + i] for i in range(30)]
    taken: list[tuple[int, int, int, int]] = []
    canvas = np.zeros((400, 400, 3), np.uint8)
    for box in crowd:
        _name(canvas, ["a long name 0.99", "0.99"], box, (255, 255, 255), taken)
    assert 1 < len(taken) < 30
    for i, one in enumerate(taken):
        assert 0 <= one[0] < one[2] <= 400
        assert 0 <= one[1] < one[3] <= 400
        assert not any(_meet(one, other) for other in taken[:i])


def test_figures__tell_curves_counts_and_sizes() -> None:
    small = [0, 0, 20, 20]
    table = table_of(
        (words([A, small], [0, 0]), words([A, B], [0, 1], [0.9, 0.8])),
        (words([A], [0]), words([A, A], [0, 0], [0.7, 0.6])),
        (words([], []), words([], [], [])),
    )
    metrics = new_metrics(table, class_table(2))
    assert isinstance(metrics, Illustrated)
    curves, images, classes, sizes = metrics.figures()
    absent = curves.table[curves.table["class"] == "c1"]
    assert absent["precision"].isna().all()
    assert images.table.to_numpy().tolist() == [[0, 0, 1], [1, 2, 1], [2, 2, 1]]
    counts = classes.table.set_index("class")
    assert counts.loc["c0"].tolist()[:5] == [3, 3, 2, 1, 1]
    assert counts.loc["c1"].tolist()[:5] == [0, 1, 0, 0, 1]
    assert counts.loc["c0", "miscount per image"] == pytest.approx(2 / 3)
    assert sizes.table["objects"].tolist()[0] == 3
    scores = metrics.scores()
    found = dict(
        zip(("map", "map_small", "map_medium", "map_large"), sizes.table["mAP"], strict=True)
    )
    assert found == pytest.approx({name: scores[name] for name in found}, nan_ok=True)
    assert set(metrics.scores()) <= set(metrics.words())
    assert list(metrics.legend()) == ["c0", "c1"]


def test_figures__of_no_images_are_undefined() -> None:
    figures = new_metrics(table_of(), class_table(2)).figures()
    assert figures[2].table["miscount per image"].isna().all()
    assert figures[3].table["mAP"].isna().all()


def test_evidence__is_the_log_odds_of_the_boxes_that_are_sure() -> None:
    table = table_of(
        (words([], []), words([A, A, A], [0, 0, 0], [0.99, 0.6, 0.4])),
        (words([], []), words([A, A], [0, 0], [0.3, 0.1])),
        (words([], []), words([], [], [])),
    )
    metrics = new_metrics(table, class_table(1))
    for row, (scores, which, name) in enumerate(
        (
            ([0.99, 0.6, 0.4, 0], [0.99, 0.6], "2 boxes"),
            ([0.3, 0.1], [0.3], "0.30"),
            ([0.0], [], "no"),
        )
    ):
        outputs = torch.zeros(1, len(scores), 6)
        outputs[0, :, 4] = torch.tensor(scores)
        evidence = metrics.evidence(row)
        wanted = sum(np.log(score / (1 - score)) for score in which)
        assert float(evidence.speaks(outputs)) == pytest.approx(wanted, abs=1e-4)
        assert name in evidence.of


def test_scores__of_a_thousand_resamples_take_seconds() -> None:
    rng = np.random.default_rng(0)
    table = draw_table(rng, 100, 4, 30, 160, ties=False)
    metrics = new_metrics(table, class_table(4))
    started = time.process_time()
    for _ in range(50):
        metrics.scores(rng.integers(0, 100, 100))
    assert (time.process_time() - started) * 20 < 20
