import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_masks import CLASSES, IGNORED, draw_mask, in_words, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from graft.vision.errors import DataError
from graft.vision.preprocessing import Frame
from graft.vision.records import Array
from graft.vision.task import ClassTable, Illustrated
from graft.vision.tasks.segmentation import TASK
from graft.vision.tasks.segmentation.boundaries import TOLERANCE, boundary_scores, edges_of
from graft.vision.tasks.segmentation.metrics import SegmentationMetrics

RNG = np.random.default_rng(0)


def metrics_of(truths: list[Array], predictions: list[Array]) -> SegmentationMetrics:
    found = TASK.new_metrics(table_of(truths, predictions), CLASSES)
    assert isinstance(found, SegmentationMetrics)
    return found


def noisy(mask: Array, share: float = 0.2) -> Array:
    changed = RNG.random(mask.shape) < share
    return np.where(changed, RNG.integers(0, 3, mask.shape), mask % 3).astype(np.uint8)


def images(count: int = 4) -> tuple[list[Array], list[Array]]:
    truths = [draw_mask(30 + number, 40, number) for number in range(count)]
    return truths, [noisy(mask) for mask in truths]


def judged(truths: list[Array], predictions: list[Array]) -> tuple[Array, Array]:
    truth = np.concatenate([mask.ravel() for mask in truths])
    said = np.concatenate([mask.ravel() for mask in predictions])
    return truth[truth != IGNORED], said[truth != IGNORED]


def test_scores__of_a_hand_table() -> None:
    # field: 3 right, 1 taken for pond; pond: 2 right; hut: nowhere; one pixel is not judged.
    truth = np.array([[0, 0, 0, 0], [1, 1, 255, 255]], np.uint8)
    said = np.array([[0, 0, 0, 1], [1, 1, 2, 0]], np.uint8)
    metrics = metrics_of([truth], [said])
    scores = metrics.scores()
    assert list(scores) == ["miou", "dice", "pixel_accuracy", "boundary_f"]
    assert scores["miou"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert scores["dice"] == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert scores["pixel_accuracy"] == pytest.approx(5 / 6)
    table = metrics.per_class().set_index("class")
    assert table["images"].tolist() == [1, 1, 0]
    assert table["iou"].tolist()[:2] == pytest.approx([3 / 4, 2 / 3])
    assert table["precision"].tolist()[:2] == pytest.approx([1, 2 / 3])
    assert table["recall"].tolist()[:2] == pytest.approx([3 / 4, 1])
    assert table.loc["hut", ["iou", "dice", "precision", "recall", "boundary_f"]].isna().all()
    assert metrics.confusion().to_numpy().tolist() == [[3, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_scores__agree_with_scikit_learn() -> None:
    truths, predictions = images()
    metrics, (true, said) = metrics_of(truths, predictions), judged(truths, predictions)
    scores, table = metrics.scores(), metrics.per_class()
    assert scores["miou"] == pytest.approx(jaccard_score(true, said, average="macro"))
    assert scores["dice"] == pytest.approx(f1_score(true, said, average="macro"))
    assert scores["pixel_accuracy"] == pytest.approx((true == said).mean())
    assert table["iou"].tolist() == pytest.approx(jaccard_score(true, said, average=None).tolist())
    assert table["dice"].tolist() == pytest.approx(f1_score(true, said, average=None).tolist())
    assert (metrics.confusion().to_numpy() == confusion_matrix(true, said)).all()
    each = [
        jaccard_score(*judged([one], [other]), average="macro")
        for one, other in zip(truths, predictions, strict=True)
    ]
    assert metrics.image_scores().tolist() == pytest.approx(each)


def test_scores__agree_with_torchmetrics() -> None:
    classification = pytest.importorskip("torchmetrics.classification")
    truths, predictions = images()
    outside = classification.MulticlassJaccardIndex(3, ignore_index=IGNORED)
    for one, other in zip(truths, predictions, strict=True):
        outside.update(torch.from_numpy(other.astype(int)), torch.from_numpy(one.astype(int)))
    found = metrics_of(truths, predictions).scores()["miou"]
    assert found == pytest.approx(float(outside.compute()), abs=1e-6)


def test_scores__of_a_resample_are_those_of_its_rows() -> None:
    truths, predictions = images(5)
    metrics = metrics_of(truths, predictions)
    for rows in ([0, 0, 3], [4], [1, 2, 1, 4, 4]):
        again = metrics_of([truths[i] for i in rows], [predictions[i] for i in rows])
        found = metrics.scores(np.array(rows))
        assert found == pytest.approx(again.scores())


def test_scores__leave_out_a_class_that_a_resample_lacks() -> None:
    field, pond = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    metrics = metrics_of([field, pond], [field, field])
    assert metrics.scores()["miou"] == pytest.approx((1 / 2 + 0) / 2)
    assert metrics.scores(np.array([0]))["miou"] == 1


def test_scores__count_an_invented_class() -> None:
    field = np.zeros((4, 4), np.uint8)
    said = field.copy()
    said[0, 0] = 2
    metrics = metrics_of([field], [said])
    assert metrics.scores()["miou"] == pytest.approx((15 / 16 + 0) / 2)
    assert metrics.per_class()["recall"].isna().tolist() == [False, True, True]


def test_scores__are_undefined_where_nothing_is_judged() -> None:
    void = np.full((4, 4), IGNORED, np.uint8)
    field = np.zeros((4, 4), np.uint8)
    metrics = metrics_of([void, field], [field, field])
    assert all(math.isnan(value) for value in metrics.scores(np.array([0])).values())
    assert metrics.image_scores().tolist() == pytest.approx([math.nan, 1.0], nan_ok=True)
    assert metrics.reliability()[1].tolist() == [1.0]
    empty = TASK.new_metrics(table_of([], []), CLASSES)
    assert all(math.isnan(value) for value in empty.scores().values())
    assert empty.per_class()["iou"].isna().all()


def test_metrics__of_perfect_predictions_are_one_and_of_wrong_ones_zero() -> None:
    truths = [draw_mask(32, 32, number) for number in range(4)]
    frame = Frame(32, 32, 4.0, 4.0, 0.0, 0.0)
    for shift, wanted in ((0, 1.0), (1, 0.0)):
        tables = []
        for mask in truths:
            numbers = torch.from_numpy((mask.astype(int) % 3 + shift) % 3)
            logits = 20 * torch.nn.functional.one_hot(numbers, 3).permute(2, 0, 1)[None].float()
            tables.append(TASK.predict(logits, CLASSES, 1.0, [frame]))
        table = pd.concat(tables).assign(truth=[in_words(mask) for mask in truths])
        scores = TASK.new_metrics(table, CLASSES).scores()
        assert next(iter(scores)) == TASK.primary_metric
        assert scores[TASK.primary_metric] == wanted
        assert scores["dice"] == scores["pixel_accuracy"] == wanted
        if shift == 0:
            assert scores["boundary_f"] == 1.0


def test_metrics__read_other_names_and_orders_by_name() -> None:
    truth, said = np.array([[0, 1, 2]], np.uint8), np.array([[1, 0, 2]], np.uint8)
    table = pd.DataFrame(
        {
            "truth": [in_words(truth, ("pond", "field", "shed"))],
            "prediction": [in_words(said, ("field", "pond", "hut"))],
            "score": [0.5],
        }
    )
    metrics = TASK.new_metrics(table, CLASSES)
    assert metrics.scores()["pixel_accuracy"] == 1  # no shed in the class table: not judged
    assert metrics.confusion().to_numpy().sum() == 2


def test_metrics__of_a_prediction_outside_the_class_table_miss_the_truth() -> None:
    truth, said = np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8)
    table = table_of([truth], [truth]).assign(prediction=in_words(said, ("field", "shed")))
    scores = TASK.new_metrics(table, CLASSES).scores()
    assert scores["miou"] == scores["pixel_accuracy"] == 0.75


def test_metrics__refuse_masks_of_another_size() -> None:
    with pytest.raises(DataError, match=r"row 0 .*another size.*\(4, 5\).*\(5, 4\)"):
        metrics_of([np.zeros((5, 4), np.uint8)], [np.zeros((4, 5), np.uint8)])


def test_reliability__tells_the_share_of_pixels_that_are_right() -> None:
    truths, predictions = images(2)
    confidence, right = metrics_of(truths, predictions).reliability()
    assert confidence.tolist() == [0.5, 1.0]
    wanted = [
        np.mean(np.equal(*judged([t], [p]))) for t, p in zip(truths, predictions, strict=True)
    ]
    assert right.tolist() == pytest.approx(wanted)


masks = arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 1, 2, 255]),
)


@given(st.data(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_boundary_scores__agree_with_every_distance_measured(
    data: st.DataObject, tenths: int
) -> None:
    truth = data.draw(masks)
    said = data.draw(arrays(np.uint8, truth.shape, elements=st.sampled_from([0, 1, 2])))
    found = boundary_scores(truth, said, 3)
    said = np.where(truth == IGNORED, IGNORED, said).astype(np.uint8)
    reach = TOLERANCE * math.hypot(*truth.shape)
    for number in range(3):
        true, other = (np.argwhere(_edges_by_hand(mask) == number) for mask in (truth, said))
        wanted = _f_by_hand(true, other, reach)
        assert found[number] == pytest.approx(wanted, nan_ok=True)


def _edges_by_hand(mask: Array) -> Array:
    found = np.full(mask.shape, IGNORED)
    for y, x in np.argwhere(mask != IGNORED):
        for other_y, other_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= other_y < mask.shape[0] and 0 <= other_x < mask.shape[1]:
                other = mask[other_y, other_x]
                if other not in (mask[y, x], IGNORED):
                    found[y, x] = mask[y, x]
    return found


def _f_by_hand(true: Array, said: Array, reach: float) -> float:
    if len(true) + len(said) == 0:
        return math.nan
    if len(true) == 0 or len(said) == 0:
        return 0.0
    recall, precision = (
        (cKDTree(others).query(places)[0] <= reach).mean()
        for places, others in ((true, said), (said, true))
    )
    return 2 * precision * recall / max(precision + recall, 1e-12)


@pytest.mark.parametrize("classes", [3, 9, 20, 40, 70, 150, 255])
def test_boundary_scores__take_any_number_of_classes_and_reach(classes: int) -> None:
    truth = RNG.integers(0, classes, (20, 300)).repeat(8, 0).repeat(3, 1)
    said = np.roll(truth, 2, 1)
    found = boundary_scores(truth.astype(np.uint8), said.astype(np.uint8), classes)
    reach = TOLERANCE * math.hypot(*truth.shape)
    for number in (0, classes // 2, classes - 1):
        true, other = (
            np.argwhere(edges_of(mask.astype(np.uint8)) == number) for mask in (truth, said)
        )
        assert found[number] == pytest.approx(_f_by_hand(true, other, reach), nan_ok=True)


def test_boundary_scores__forgive_a_shift_within_the_tolerance_and_no_more() -> None:
    truth = np.zeros((300, 400), np.uint8)  # 0.0075 of 500 px: 3.75 px
    truth[100:200, 100:300] = 1
    near, far = np.roll(truth, 3, 0), np.roll(truth, 5, 0)
    assert boundary_scores(truth, near, 2).tolist() == [1, 1]
    assert (boundary_scores(truth, far, 2) < 0.6).all()


def test_edges__lie_between_judged_classes_only() -> None:
    mask = np.array([[0, 0, 1, 255, 2], [0, 0, 1, 255, 2]], np.uint8)
    assert edges_of(mask).tolist() == [[255, 0, 1, 255, 255]] * 2


def test_show__lays_truth_and_prediction_side_by_side_in_named_colours() -> None:
    truths, predictions = images(2)
    metrics = metrics_of(truths, predictions)
    shown = metrics.show(1, np.full((62, 80, 3), 100, np.uint8))
    assert shown.companion is not None
    assert shown.picture.shape == shown.companion.shape == (62, 80, 3)
    assert (shown.picture != shown.companion).any()
    for word in ("mean IoU", "of pixels right", "field (blue)", "pond (orange)", "hut (yellow)"):
        assert word in shown.caption
    grey = metrics.show(0, np.zeros((7, 5, 1), np.uint8))
    assert grey.picture.shape == (7, 5, 3)


def test_show__hatches_what_is_ignored_and_says_when_nothing_is_judged() -> None:
    void = np.full((60, 60), IGNORED, np.uint8)
    shown = metrics_of([void], [np.zeros((60, 60), np.uint8)]).show(
        0, np.zeros((60, 60, 3), np.uint8)
    )
    assert len(np.unique(shown.picture.reshape(-1, 3), axis=0)) == 2
    assert (np.ptp(shown.picture, axis=2) == 0).all()
    assert "nothing is judged" in shown.caption


def test_show__has_a_colour_of_its_own_for_each_of_many_classes() -> None:
    table = ClassTable(names=tuple(f"c{i}" for i in range(50)))
    mask = np.arange(50, dtype=np.uint8)[None].repeat(2, 0)
    rows = pd.DataFrame(
        {column: [in_words(mask, table.names)] for column in ("truth", "prediction")}
    ).assign(score=1.0)
    shown = TASK.new_metrics(rows, table).show(0, np.zeros((2, 50, 3), np.uint8))
    assert len(np.unique(shown.picture[0], axis=0)) == 50
    assert "44 more" in shown.caption


def test_figures__tell_images_and_classes() -> None:
    field, pond = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    half = field.copy()
    half[:2] = 1
    metrics = metrics_of([field, pond, half, half], [field, field, half, pond])
    assert isinstance(metrics, Illustrated)
    images, classes = metrics.figures()
    curve = images.table[images.table["name"] == "mean IoU"]
    assert curve["score"].tolist() == sorted(metrics.image_scores())
    assert curve["share of images"].tolist() == [0.125, 0.375, 0.625, 0.875]
    table = classes.table.set_index("class")
    columns = ["images with it", "found", "found in part", "missed", "invented"]
    assert table.loc["field", columns].tolist() == [3, 2, 0, 1, 1]
    assert table.loc["pond", columns].tolist() == [3, 2, 0, 1, 0]
    assert table.loc["hut", columns].tolist() == [0, 0, 0, 0, 0]
    assert table["share of pixels"].tolist() == pytest.approx([0.5, 0.5, 0])
    assert set(metrics.scores()) <= set(metrics.words())
    assert metrics.legend()["field"] == (0, 130, 200)


def test_figures__of_nothing_judged_are_empty() -> None:
    void = np.full((4, 4), IGNORED, np.uint8)
    images, classes = metrics_of([void], [np.zeros((4, 4), np.uint8)]).figures()
    assert len(images.table) == 0
    assert classes.table["images with it"].tolist() == [0, 0, 0]


def test_evidence__is_the_logits_of_the_class_that_is_met_least() -> None:
    truth, said = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[:5], said[:3] = 1, 1  # pond 3/5, field 5/7
    evidence = metrics_of([truth], [said]).evidence(0)
    assert evidence.of == "pond (IoU 0.60)"
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0] = torch.tensor([2.0, 3.0])
    logits[0, 0, 1] = 5
    assert float(evidence.speaks(logits)) == 5
    assert float(evidence.speaks(-logits)) == 0


def test_predictions__are_words_that_metrics_and_people_read() -> None:
    words = json.loads(in_words(draw_mask(4, 6)))
    assert set(words) == {"size_px", "names", "ignored", "png"}
