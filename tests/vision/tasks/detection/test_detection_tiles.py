"""What tiles found is said once, in px of the original; the detector here makes no error."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from detection_cases import class_table

from graft.vision.preprocessing import Frame, Preprocessing, frame_of
from graft.vision.tasks.detection.predict import predict
from graft.vision.tiles import frames_of

SIZE, MOST = 64, 100
VIEW = Preprocessing(size_px=SIZE, fit="tiles", mean=(0.5,) * 3, std=(0.5,) * 3)
Box = tuple[float, float, float, float]


def sees(
    boxes: Sequence[Box], frames: Sequence[Frame], kinds: Sequence[int] | None = None
) -> torch.Tensor:
    """(V, 100, 6): per tile the part that it shows of each box, the surer the more it shows."""
    outputs = torch.zeros(len(frames), MOST, 6)
    for row, frame in enumerate(frames):
        offset = np.array([frame.left, frame.top] * 2)
        for place, box in enumerate(boxes):
            whole = np.array(box) * np.tile([frame.scale_x, frame.scale_y], 2) + offset
            part = whole.clip(0, SIZE)
            share = np.prod(part[2:] - part[:2]) / np.prod(whole[2:] - whole[:2])
            if share > 0:
                kind = kinds[place] if kinds else 0
                said = [*part, 0.5 + 0.4 * share - 0.01 * place, kind]
                outputs[row, place] = torch.tensor(said)
    return outputs


def say(outputs: torch.Tensor, frames: Sequence[Frame]) -> dict[str, Any]:
    table = predict(outputs, class_table(2), 1.0, frames)
    assert len(table) == 1
    words: dict[str, Any] = json.loads(table["prediction"][0])
    assert table["score"][0] == max([0.0, *words["scores"]])
    return words


def large(width: int = 300, height: int = 200, shrunk: int = 1) -> list[Frame]:
    return frames_of((height // shrunk, width // shrunk, 3), width, height, VIEW)


def test_predict__says_small_objects_once_wherever_they_lie() -> None:
    """The overlap is a quarter of a tile: an object of 16 px is whole in one of them."""
    frames = large()
    for x in range(0, 284, 7):
        for y in (0, 37, 50, 61, 184):
            words = say(sees([(x, y, x + 16, y + 16)], frames), frames)
            assert words["boxes_xyxy"] == [[x, y, x + 16, y + 16]], (x, y)


@pytest.mark.parametrize(
    "box",
    [(20, 30, 140, 50), (100, 10, 130, 190), (0, 0, 300, 200), (5, 5, 290, 180), (10, 90, 299, 99)],
)
def test_predict__joins_the_parts_of_what_no_tile_shows_whole(box: Box) -> None:
    frames = large()
    words = say(sees([box], frames), frames)
    np.testing.assert_allclose(words["boxes_xyxy"], [box], atol=0.01)


def test_predict__speaks_in_px_of_the_original() -> None:
    frames = large(900, 600, shrunk=3)
    boxes: list[Box] = [(30, 60, 90, 120), (180, 200, 216, 236)]
    words = say(sees(boxes, frames), frames)
    np.testing.assert_allclose(sorted(words["boxes_xyxy"]), boxes, atol=0.01)


def test_predict__keeps_classes_and_neighbours_apart() -> None:
    frames = large()
    boxes: list[Box] = [(40, 40, 56, 56), (41, 41, 57, 57), (56, 40, 72, 56), (72, 40, 88, 56)]
    words = say(sees(boxes, frames, [0, 1, 0, 0]), frames)
    assert sorted(words["boxes_xyxy"]) == sorted(map(list, boxes))
    assert sorted(words["classes"]) == ["c0", "c0", "c0", "c1"]


def test_predict__lets_a_whole_box_win_over_a_surer_part_of_it() -> None:
    frames = large(112, 64)  # two tiles, which share 48..64
    assert [frame.left for frame in frames] == [0, -48]
    outputs = torch.zeros(2, MOST, 6)
    outputs[0, 0] = torch.tensor([50.0, 20, 64, 40, 0.99, 0])  # the part that the first tile shows
    outputs[1, 0] = torch.tensor([2.0, 20, 30, 40, 0.6, 0])
    words = say(outputs, frames)
    assert words["boxes_xyxy"] == [[50, 20, 78, 40]]
    assert words["scores"] == [0.6]


def test_predict__leaves_apart_what_one_tile_tells_apart() -> None:
    frames = large(112, 64)
    outputs = torch.zeros(2, MOST, 6)
    outputs[0, 0] = torch.tensor([10.0, 10, 30, 30, 0.9, 0])
    outputs[0, 1] = torch.tensor([12.0, 10, 32, 30, 0.8, 0])  # overlaps, as nms_iou may allow
    assert len(say(outputs, frames)["scores"]) == 2


def test_predict__says_at_most_as_many_as_one_view_and_the_best() -> None:
    frames = large()
    outputs = torch.zeros(len(frames), MOST, 6)
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(len(frames), MOST, 2, generator=generator) * 40 + 4
    outputs[..., :2], outputs[..., 2:4] = corner, corner + 3
    outputs[..., 4] = torch.rand(len(frames), MOST, generator=generator)
    words = say(outputs, frames)
    assert len(words["scores"]) == MOST
    assert words["scores"] == sorted(words["scores"], reverse=True)
    assert words["scores"][0] == pytest.approx(float(outputs[..., 4].max()), abs=1e-6)


def test_predict__of_an_empty_large_image_is_no_box() -> None:
    frames = large()
    words = say(torch.zeros(len(frames), MOST, 6), frames)
    assert words == {"boxes_xyxy": [], "classes": [], "scores": []}


def test_predict__of_one_tile_is_that_of_the_plain_view() -> None:
    (frame,) = frames_of((40, 50, 3), 50, 40, VIEW)
    plain = frame_of((40, 50, 3), 50, 40, VIEW)
    outputs = sees([(0, 0, 20, 20), (5, 5, 50, 40)], [frame])
    as_ever = Frame(50, 40, 1.0, 1.0, frame.left, frame.top)
    assert say(outputs, [frame]) == say(outputs, [plain]) == say(outputs, [as_ever])


def test_predict__of_several_images_has_a_row_for_each() -> None:
    one, two = large(), large(112, 64)
    outputs = [sees([(8, 8, 20, 20)], one), sees([(70, 8, 90, 20)], two)]
    table = predict(torch.cat(outputs), class_table(1), 1.0, [*one, *two])
    boxes = [json.loads(words)["boxes_xyxy"] for words in table["prediction"]]
    assert boxes == [[[8, 8, 20, 20]], [[70, 8, 90, 20]]]
