"""Candidates: the nearest few of each image, in the orientation and window in which they agree."""

import cv2
import numpy as np
import pytest

from graft.vision.data.near_copies.candidates import WINDOWS, find_candidates
from graft.vision.data.near_copies.thumbnails import ORIENTATIONS, turned, undoing
from graft.vision.data.options import NearCopyOptions

SIDE = 64
OPTIONS = NearCopyOptions()


def squares(count: int, seed: int = 0) -> np.ndarray:
    """(count, SIDE, SIDE) uint8 of coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 255, (count, 10, 10), np.uint8)
    return np.stack([cv2.resize(c, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for c in coarse])


def ungrouped(count: int) -> np.ndarray:
    return np.array([f"{n}" for n in range(count)], object)


@pytest.mark.parametrize("turn", range(len(ORIENTATIONS)))
@pytest.mark.parametrize("window", range(len(WINDOWS)))
def test_find_candidates__names_turn_and_window(turn, window) -> None:
    whole = squares(6)
    (left, right), (top, bottom) = np.round(WINDOWS[window] * SIDE).astype(int)
    part = cv2.resize(whole[2, top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    thumbs = np.concatenate([whole, turned(part, turn)[None]])
    found = find_candidates(thumbs, ungrouped(len(thumbs)), OPTIONS)
    assert len(found) == 1
    row = found.iloc[0]
    if (row["first"], row["second"]) == (2, 6):
        assert (row["turn"], row["window"]) == (undoing(turn), window)
    else:
        assert (row["first"], row["second"], row["turn"]) == (6, 2, turn) and window == 0


def test_find_candidates__names_the_nearest_few_of_each_image_only() -> None:
    noise = np.random.default_rng(1).normal(0, 3, (40, SIDE, SIDE))
    thumbs = np.clip(squares(1) + noise, 0, 255).astype(np.uint8)
    for neighbours in (1, 5):
        options = NearCopyOptions(neighbours=neighbours)
        found = find_candidates(thumbs, ungrouped(len(thumbs)), options)
        assert len(thumbs) * neighbours / 2 <= len(found) <= len(thumbs) * neighbours
        assert not found.duplicated(["first", "second", "turn"]).any()


def test_find_candidates__leaves_out_pairs_of_one_group_in_any_order() -> None:
    thumbs = np.repeat(squares(3), 3, axis=0)
    groups = np.array(["x", "u", "x", "y", "x", "y", "v", "w", "z"], object)
    found = find_candidates(thumbs, groups, OPTIONS)
    pairs = {tuple(sorted(pair)) for pair in found[["first", "second"]].to_numpy().tolist()}
    assert pairs == {(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (6, 8), (7, 8)}


@pytest.mark.parametrize("count", [1, 2])
def test_find_candidates__answers_for_very_few_images(count) -> None:
    assert find_candidates(squares(count), ungrouped(count), OPTIONS).empty
