"""Boxes: what cannot be meant is left out and told, all else lies inside with an area."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.data.boxes import (
    ROUNDING_PX,
    CheckedBoxes,
    StatedBox,
    StatedBoxes,
    check_boxes,
    turn_box,
)
from graft.vision.data.decoding import _TRANSPOSED
from graft.vision.errors import UnusableImageError

WIDTH, HEIGHT = 40, 30


def check(*corners: tuple[float, ...], name: str = "ant", **more) -> CheckedBoxes:
    size = more.pop("size_px", (WIDTH, HEIGHT))
    shares = more.pop("as_shares", False)
    boxes = tuple(StatedBox(xyxy, name, f"object {n}") for n, xyxy in enumerate(corners, 1))
    return check_boxes(StatedBoxes(boxes, size, shares), WIDTH, HEIGHT, **more)


def reason(*corners: float, **more) -> str:
    checked = check(corners, **more)
    assert checked.boxes_xyxy == [] and checked.classes == []
    ((row, why),) = checked.left_out
    assert row == "object 1"
    return why


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ((5, 5, 5, 9), "box without area"),
        ((5, 5, 9, 5), "box without area"),
        ((9, 5, 5, 9), "box with swapped corners"),
        ((5, 9, 9, 5), "box with swapped corners"),
        ((math.nan, 0, 9, 9), "not finite"),
        ((0, 0, math.inf, 9), "not finite"),
        ((40, 0, 50, 9), "box outside the image"),
        ((-9, 0, 0, 9), "box outside the image"),
        ((0, 31, 9, 39), "box outside the image"),
    ],
)
def test_boxes__leave_out_what_cannot_be_meant_and_say_how_to_mend_it(corners, words) -> None:
    why = reason(*corners)
    assert words in why
    assert any(mend in why for mend in ("redraw", "exchange", "correct"))


def test_boxes__know_their_classes() -> None:
    assert "without a class" in reason(0, 0, 9, 9, name="")
    assert "did you mean 'ant'" in reason(0, 0, 9, 9, name="ants", known=("ant", "bee"))
    assert check((0, 0, 9, 9), name="ant", known=("ant",)).classes == ["ant"]


def test_boxes__stated_twice_count_once() -> None:
    checked = check((1, 2, 9, 9), (1, 2, 9, 9))
    assert checked.boxes_xyxy == [[1, 2, 9, 9]]
    assert checked.left_out[0][0] == "object 2" and "twice" in checked.left_out[0][1]


def test_boxes__beyond_the_image_are_clipped_and_told() -> None:
    checked = check((-3, 5, 9, 9), (0, 0, 40.5, 30), (0, 0, 40 + ROUNDING_PX / 2, 9))
    assert checked.boxes_xyxy == [[0, 5, 9, 9], [0, 0, 40, 30], [0, 0, 40, 9]]
    assert checked.clipped == [("object 1", 3), ("object 2", 0.5)]


def test_boxes__in_shares_become_pixels() -> None:
    checked = check((0.25, 0.5, 0.5, 1.0), as_shares=True, size_px=None)
    assert checked.boxes_xyxy == [[10, 15, 20, 30]]


def test_boxes__of_an_image_of_another_size_are_not_used() -> None:
    with pytest.raises(UnusableImageError, match=r"another size \(100x80 stated, 40x30 found\)"):
        check((0, 0, 9, 9), size_px=(100, 80))


@settings(max_examples=200, deadline=None)
@given(
    corners=st.lists(
        st.tuples(*[st.floats(-60, 90) | st.just(math.nan) for _ in range(4)]), max_size=8
    ),
    orientation=st.integers(1, 8),
    stored=st.booleans(),
)
def test_boxes__are_used_or_told_and_lie_inside(corners, orientation, stored) -> None:
    size = (HEIGHT, WIDTH) if stored and orientation >= 5 else (WIDTH, HEIGHT)
    checked = check(*corners, size_px=size, orientation=orientation)
    assert len(checked.boxes_xyxy) == len(checked.classes)
    assert len(checked.boxes_xyxy) + len(checked.left_out) == len(corners)
    for x0, y0, x1, y1 in checked.boxes_xyxy:
        assert 0 <= x0 <= x1 <= WIDTH and 0 <= y0 <= y1 <= HEIGHT


# --- EXIF ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    orientation=st.integers(1, 8),
    left=st.integers(0, 9),
    top=st.integers(0, 5),
    wide=st.integers(1, 3),
    high=st.integers(1, 3),
)
def test_turn_box__goes_with_the_pixels(orientation, left, top, wide, high) -> None:
    stored = np.zeros((9, 13), np.uint8)
    stored[top : top + high, left : left + wide] = 1
    upright = stored
    if orientation > 1:
        upright = np.asarray(Image.fromarray(stored).transpose(_TRANSPOSED[orientation]))
    ys, xs = np.nonzero(upright)
    expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert turn_box((left, top, left + wide, top + high), orientation, 13, 9) == expected


def test_boxes__drawn_on_the_stored_image_are_turned_with_it() -> None:
    stored = check((0, 0, 10, 20), size_px=(HEIGHT, WIDTH), orientation=6)
    assert stored.turned and stored.boxes_xyxy == [[20, 0, 40, 10]]
    upright = check((0, 0, 10, 20), size_px=(WIDTH, HEIGHT), orientation=6)
    assert not upright.turned and upright.boxes_xyxy == [[0, 0, 10, 20]]


@pytest.mark.parametrize(
    ("orientation", "size", "ambiguous"),
    [
        (1, (WIDTH, HEIGHT), False),
        (1, None, False),
        (3, (WIDTH, HEIGHT), True),
        (6, (WIDTH, HEIGHT), False),
        (6, None, True),
    ],
)
def test_boxes__say_when_the_size_does_not_tell_their_frame(orientation, size, ambiguous) -> None:
    checked = check((0, 0, 9, 9), size_px=size, orientation=orientation)
    assert checked.ambiguous is ambiguous and checked.boxes_xyxy == [[0, 0, 9, 9]]
