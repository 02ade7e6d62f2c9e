"""Patches: the same small window in a few images is found; what nature repeats is not."""

import cv2
import numpy as np
import pytest
from monitored import picture

from graft.vision.monitoring.options import IntakeOptions
from graft.vision.monitoring.patches import find_patch

OPTIONS = IntakeOptions()
KNOWN = [picture(i) for i in range(80)]
NEW = [picture(500 + i) for i in range(100)]
CARRIERS = (4, 40, 77)


def units_of(images: list[np.ndarray]) -> list[str]:
    return [str(number) for number in range(len(images))]


def checkers(side: int) -> np.ndarray:
    return np.kron(np.indices((3, 3)).sum(0) % 2, np.ones((side, side)))[..., None] * 255


def planted(
    pixels: np.ndarray, patch: np.ndarray | tuple[int, ...], top: int, left: int, side: int
):
    out = pixels.copy()
    out[top : top + side, left : left + side] = patch
    coded = cv2.imencode(".jpg", out[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("patch", "top", "left", "side", "where"),
    [
        (checkers(2), 88, 88, 6, "bottom right"),
        (checkers(2), 88, 2, 6, "bottom left"),
        ((255, 255, 0), 4, 86, 6, "top right"),
        ((255, 0, 255), 46, 46, 6, "whole image"),
        (checkers(4), 40, 60, 12, "whole image"),
    ],
)
def test_find_patch__finds_what_3_of_100_images_carry(
    patch: np.ndarray, top: int, left: int, side: int, where: str
) -> None:
    new = [planted(p, patch, top, left, side) if i in CARRIERS else p for i, p in enumerate(NEW)]
    found = find_patch(KNOWN, new, units_of(new), OPTIONS, 0)
    assert found is not None
    assert found.where in (where, "whole image")  # both show 96 px as they are
    assert set(found.rows) == set(CARRIERS)
    assert (found.known, found.known_images) == (0, 80)


def test_find_patch__is_at_home_with_images_of_any_size_and_channels() -> None:
    rng = np.random.default_rng(0)
    new = [picture(i, *(int(side) for side in rng.integers(60, 140, 2))) for i in range(50)]
    for i in (*CARRIERS[:2], 20):
        new[i][-8:-2, -8:-2] = checkers(2)
    grey = [p[..., :1] for p in new]
    for side in (new, grey):
        found = find_patch(
            [p[..., : side[0].shape[2]] for p in KNOWN], side, units_of(side), OPTIONS, 0
        )
        assert found is not None
        assert set(found.rows) == {4, 40, 20}


def test_find_patch__clean_images_carry_none() -> None:
    assert find_patch(KNOWN, NEW, units_of(NEW), OPTIONS, 0) is None


def test_find_patch__what_known_images_show_as_well_is_none() -> None:
    mark = (255, 255, 0)
    known = [planted(p, mark, 88, 88, 6) if i < 4 else p for i, p in enumerate(KNOWN)]
    new = [planted(p, mark, 88, 88, 6) if i in CARRIERS else p for i, p in enumerate(NEW)]
    assert find_patch(known, new, units_of(new), OPTIONS, 0) is None


def test_find_patch__copies_of_one_picture_are_none() -> None:
    sharp = planted(NEW[0], checkers(4), 30, 30, 12)
    new = [np.clip(sharp + float(i), 0, 255).astype(np.uint8) for i in range(5)] + NEW[5:]
    assert find_patch(KNOWN, new, units_of(new), OPTIONS, 0) is None


def test_find_patch__few_images_are_not_searched() -> None:
    assert find_patch(KNOWN, NEW[:2], ["a", "b"], OPTIONS, 0) is None
    assert find_patch([], NEW[:9], units_of(NEW[:9]), OPTIONS, 0) is None


def test_find_patch__three_pixels_are_found_in_files_without_loss() -> None:
    new = [picture.copy() for picture in NEW]
    for row in CARRIERS:
        new[row][-4:-1, 1:4] = checkers(1)
    found = find_patch(KNOWN, new, units_of(new), OPTIONS, 0)
    assert found is not None
    assert (found.rows, found.where) == (CARRIERS, "bottom left")


def test_find_patch__what_one_drive_shows_in_all_its_frames_is_none() -> None:
    new = [planted(p, checkers(2), 88, 88, 6) if i in CARRIERS else p for i, p in enumerate(NEW)]
    units = ["drive" if i in CARRIERS else str(i) for i in range(len(new))]
    assert find_patch(KNOWN, new, units, OPTIONS, 0) is None
