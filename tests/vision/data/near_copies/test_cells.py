"""Comparing in cells: among many, as good as all the copies that comparing with all finds."""

import cv2
import numpy as np
import pytest

from graft.vision.data.near_copies import cells, thumbnail
from graft.vision.data.near_copies.candidates import find_candidates
from graft.vision.data.options import NearCopyOptions
from graft.vision.records import Array

OPTIONS = NearCopyOptions()


def pictures(count: int) -> list[Array]:
    """Smooth coloured noise, (96, 96, 3) uint8 each."""
    draw = np.random.default_rng(3)
    small = draw.integers(0, 256, (count, 7, 7, 3), np.uint8)
    return [cv2.resize(part, (96, 96), interpolation=cv2.INTER_CUBIC) for part in small]


def copies(images: list[Array]) -> list[Array]:
    """Turned, mirrored, cut or darkened, one after the other."""
    ways = (
        lambda image: np.rot90(image),
        lambda image: image[:, ::-1],
        lambda image: image[4:90, 6:],
        lambda image: (image * 0.8).astype(np.uint8),
    )
    return [np.ascontiguousarray(ways[i % 4](image)) for i, image in enumerate(images)]


def pairs_of(thumbs: Array, groups: Array) -> set[tuple[int, int]]:
    rows = find_candidates(thumbs, groups, OPTIONS)
    assert not rows.duplicated(["first", "second", "turn"]).any()
    assert (rows["correlation"] >= OPTIONS.candidate_correlation).all()
    ends = np.sort(rows[["first", "second"]].to_numpy(), axis=1)
    return {(int(a), int(b)) for a, b in ends}


@pytest.fixture
def thumbs() -> Array:
    images = pictures(600)
    return np.stack([thumbnail(image) for image in [*images, *copies(images[:200])]])


@pytest.mark.parametrize("per_cell", [50, 4])
def test_cells__find_what_comparing_with_all_finds(
    thumbs: Array, monkeypatch: pytest.MonkeyPatch, per_cell: int
) -> None:
    alone = np.arange(len(thumbs))
    exact = pairs_of(thumbs, alone)
    planted = {(i, 600 + i) for i in range(200)}
    assert planted <= exact
    monkeypatch.setattr(cells, "IMAGES_MIN", 1)
    monkeypatch.setattr(cells, "PER_CELL", per_cell)
    found = pairs_of(thumbs, alone)
    assert planted <= found
    assert len(exact - found) <= 0.02 * len(exact)


def test_cells__compare_no_images_of_one_group(
    thumbs: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = np.array([*range(600), *range(200)])  # each copy in its picture's group
    monkeypatch.setattr(cells, "IMAGES_MIN", 1)
    found = pairs_of(thumbs, groups)
    assert not any(groups[a] == groups[b] for a, b in found)


def test_cells__find_the_nearest_few_in_a_crowd(
    thumbs: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = np.concatenate([thumbs[:5], *[thumbs[:1]] * 40])
    monkeypatch.setattr(cells, "IMAGES_MIN", 1)
    rows = find_candidates(crowd, np.arange(len(crowd)), OPTIONS)
    ends = np.concatenate([rows["first"], rows["second"]])
    assert {0, *range(5, 45)} <= set(ends.tolist())
    assert len(rows) <= OPTIONS.neighbours * len(crowd)
