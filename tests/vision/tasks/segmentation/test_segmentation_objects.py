"""The objects of a mask are the connected parts of its classes."""

import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.task import StatedObject
from graft.vision.tasks.segmentation.objects import LEAST_SHARE, LONGEST_PX, objects

GROUND, HUT, POND = range(3)


def found_in(mask: np.ndarray, scale: int = 1) -> list[StatedObject]:
    height, width = mask.shape
    targets = np.zeros(3, np.float32)
    return objects({"mask": mask, "targets": targets}, width * scale, height * scale)


def test_objects__are_parts_that_hang_together() -> None:
    mask = np.full((40, 60), GROUND, np.uint8)
    mask[5:15, 10:20], mask[15:25, 20:30] = HUT, HUT  # corner to corner
    mask[5:15, 40:50], mask[30:36, 40:50] = HUT, POND
    ground, first, second, pond = found_in(mask)
    assert [one.class_id for one in (ground, first, second, pond)] == [GROUND, HUT, HUT, POND]
    assert ground.box_xyxy == (0, 0, 60, 40) and first.box_xyxy == (10, 5, 30, 25)
    assert second.box_xyxy == (40, 5, 50, 15) and pond.box_xyxy == (40, 30, 50, 36)
    assert first.grid.shape == (20, 20) and first.grid.sum() == 200
    assert ground.grid.sum() == (mask == GROUND).sum()


def test_objects__are_not_what_is_small_or_what_nobody_judges() -> None:
    mask = np.full((64, 64), GROUND, np.uint8)
    side = int(np.sqrt(LEAST_SHARE * mask.size))
    mask[:30] = IGNORED
    mask[40 : 40 + side, 10 : 10 + side] = HUT
    mask[40 : 40 + side, 30 : 30 + side - 1] = POND
    assert [one.class_id for one in found_in(mask)] == [GROUND, HUT]
    assert found_in(np.full((8, 8), IGNORED, np.uint8)) == []


def test_objects__lie_in_px_of_the_original_however_large_the_mask() -> None:
    mask = np.full((20, 40), GROUND, np.uint8)
    mask[4:12, 10:20] = HUT
    assert found_in(mask, scale=3)[1].box_xyxy == (30, 12, 60, 36)
    times = 4 * LONGEST_PX // 40
    large = np.kron(mask, np.ones((times, times), np.uint8))
    hut = found_in(large)[1]
    assert max(hut.grid.shape) <= LONGEST_PX
    np.testing.assert_allclose(np.array(hut.box_xyxy) / times, (10, 4, 20, 12), atol=0.1)
