import numpy as np
import pytest
from drawn_masks import CLASSES, IGNORED, DictOfMasks, truth_text

from graft.vision.errors import DataError
from graft.vision.task import ClassTable
from graft.vision.tasks.segmentation.truth import read_truth

MASKS = {
    "a": np.array([[0, 1, 2], [255, 3, 0]], np.uint8),
    "b": np.array([[2, 2]], np.uint8),
}
NAMES = ("hut", "field", "tree", "pond")


def texts() -> list[str]:
    return [truth_text("a", NAMES, list(NAMES)), truth_text("b", NAMES, ["tree"])]


def test_read_truth__gives_the_numbers_of_the_class_table_and_ignores_other_names() -> None:
    one, other = read_truth(texts(), CLASSES, DictOfMasks(MASKS))
    assert one["mask"].tolist() == [[2, 0, IGNORED], [IGNORED, 1, 2]]
    assert one["mask"].dtype == np.uint8
    assert one["targets"].tolist() == [1, 1, 1]
    assert other["mask"].tolist() == [[IGNORED, IGNORED]]
    assert other["targets"].tolist() == [0, 0, 0]
    assert one["targets"].dtype == np.float32


def test_read_truth__reads_a_mask_only_when_it_is_asked_for() -> None:
    masks = DictOfMasks(MASKS)
    truths = read_truth(texts(), CLASSES, masks)
    assert len(truths) == 2
    assert len(truths[1:]) == 1
    assert masks.reads == []
    assert truths[1:][0]["mask"].shape == (1, 2)
    assert masks.reads == ["b"]


def test_read_truth__leaves_what_is_stored_alone_and_takes_what_cannot_be_written() -> None:
    stored = MASKS["a"].copy()
    stored.setflags(write=False)
    truth = read_truth(texts(), CLASSES, DictOfMasks({**MASKS, "a": stored}))[0]
    truth["mask"][:] = 0
    assert (stored == MASKS["a"]).all()


def test_read_truth__ignores_the_number_that_the_text_ignores() -> None:
    text = truth_text("a", NAMES, []).replace('"ignored": 255', '"ignored": 1')
    truth = read_truth([text], CLASSES, DictOfMasks(MASKS))[0]
    assert truth["mask"].tolist() == [[2, IGNORED, IGNORED], [IGNORED, 1, 2]]


def test_read_truth__names_what_a_text_without_a_mask_lacks() -> None:
    with pytest.raises(DataError, match=r"has no mask.*found: .*classes.*ingestion"):
        _ = read_truth(['{"classes": []}'], CLASSES, DictOfMasks({}))[0]


def test_read_truth__of_255_classes_keeps_255_for_what_is_ignored() -> None:
    names = tuple(f"c{i}" for i in range(300))
    mask = np.arange(256, dtype=np.uint8)[None]
    truth = read_truth(
        [truth_text("m", names, [])], ClassTable(names=names[:255]), DictOfMasks({"m": mask})
    )[0]
    assert (truth["mask"] == mask).all()
