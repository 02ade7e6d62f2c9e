"""Alignment: known shifts and stretches are found, and both pictures are read where they agree."""

import cv2
import numpy as np
import pytest

from graft.vision.data.near_copies.alignment import (
    LEAST_SHARE,
    Placement,
    common_parts,
    filling,
    refine,
)
from graft.vision.data.near_copies.thumbnails import (
    ORIENTATIONS,
    reduced,
    turned,
    turned_each,
    undoing,
)

SIDE = 64


def pictures(count: int) -> np.ndarray:
    """(count, 4 * SIDE, 4 * SIDE) float32: smooth noise at three scales."""
    draw = np.random.default_rng(0)
    out = np.zeros((count, 4 * SIDE, 4 * SIDE), np.float32)
    for picture in out:
        for size in (12, 24, 48):
            coarse = draw.normal(0, size, (4 * SIDE // size, 4 * SIDE // size)).astype(np.float32)
            picture += cv2.resize(coarse, picture.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return out


def shown(picture: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) what lies in a window (start and end on x and y, in shares) of a picture."""
    x, y = np.round(window * len(picture)).astype(int)
    part = picture[y[0] : y[1], x[0] : x[1]]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def refined(first: np.ndarray, second: np.ndarray, start: Placement) -> Placement:
    for side in (16, 16, 16, 32, 32):
        start, _ = refine(reduced(first, side), reduced(second, side), start)
    return start


WINDOWS = np.array([
    [(0.0625, 1.0), (0.0, 1.0)],
    [(0.0, 0.9375), (0.03125, 0.96875)],
    [(0.0, 1.0), (0.0, 0.90625)],
    [(0.03125, 0.9375), (0.0625, 0.96875)],
])  # fmt: skip


def test_refine__finds_windows_from_the_whole_picture() -> None:
    whole = pictures(len(WINDOWS))
    first = np.stack([shown(picture, np.array([(0, 1), (0, 1)])) for picture in whole])
    second = np.stack([shown(*pair) for pair in zip(whole, WINDOWS, strict=True)])
    uncut = Placement(np.zeros((len(whole), 2)), np.ones((len(whole), 2)))
    found, true = refined(first, second, uncut), filling(WINDOWS)
    assert np.abs(found.shift - true.shift).max() < 0.3 / SIDE
    assert np.abs(found.stretch - true.stretch).max() < 0.6 / SIDE
    assert found.shares() == pytest.approx(true.shares(), abs=0.5 / SIDE)
    one, other = common_parts(first, second, found)
    for a, b in zip(one, other, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999


def test_refine__reaches_what_the_second_explains_of_the_first() -> None:
    whole = pictures(3)[:, ::4, ::4]
    uncut = Placement(np.zeros((3, 2)), np.ones((3, 2)))
    others = np.stack([0.5 * whole[0] + 20, -whole[1], whole[0]])
    placement, reach = refine(whole, np.ascontiguousarray(others), uncut)
    assert reach[0] == pytest.approx(1, abs=1e-3) and reach[1] == 0 and reach[2] < 0.8
    assert placement.stretch.min() >= LEAST_SHARE and placement.stretch.max() <= 1 / LEAST_SHARE


def test_refine__answers_for_none_and_for_flat_pictures() -> None:
    none = np.zeros((0, 16, 16), np.float32)
    assert len(refine(none, none, Placement(np.zeros((0, 2)), np.ones((0, 2))))[1]) == 0
    flat = np.full((2, 16, 16), 7, np.float32)
    placement, reach = refine(flat, flat, Placement(np.zeros((2, 2)), np.ones((2, 2))))
    assert np.isfinite(reach).all() and np.isfinite(placement.shift).all()


def test_placement__of_a_window_reads_the_window() -> None:
    placement = filling(WINDOWS)
    first, second = placement.grids(SIDE)
    starts, ends = first[..., 0], first[..., -1]
    rim = 1.5 / SIDE * (WINDOWS[..., 1] - WINDOWS[..., 0])
    assert starts == pytest.approx(WINDOWS[..., 0] + rim, abs=2 / SIDE)
    assert ends == pytest.approx(WINDOWS[..., 1] - rim, abs=2 / SIDE)
    assert second.min() > 0 and second.max() < 1
    assert placement.shares() == pytest.approx((WINDOWS[..., 1] - WINDOWS[..., 0]).min(axis=1))


@pytest.mark.parametrize("turn", range(len(ORIENTATIONS)))
def test_turned__is_undone(turn) -> None:
    square = np.arange(2 * 9).reshape(2, 3, 3)
    assert (turned(turned(square, turn), undoing(turn)) == square).all()
    assert (turned_each(square, np.array([0, turn]))[1] == turned(square[1], turn)).all()
