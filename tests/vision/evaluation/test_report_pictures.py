"""Pictures of the report: which are chosen, and where heat lies on them."""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import pytest
from marks import Marks

from graft.vision.evaluation.report.pictures import ALONE_PX, SIDE_PX, Gallery, _laid, encode
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Array
from graft.vision.task import Shown
from graft.vision.tiles import frames_of, views_of


@dataclass
class Shares(Marks):
    """Metrics of images that are right by a share, shown in pairs or alone."""

    pairs: bool = True

    def image_scores(self) -> Array:
        return self.right

    def show(self, row: int, pixels: Array) -> Shown:
        return Shown(pixels, f"image {row}", pixels if self.pairs else None)


class Grey:
    """Pixels of any digest."""

    def read(self, sha256: str) -> Array:
        return np.full((30, 60, 1), 128, np.uint8)


def gallery(scores: list[float], pairs: bool = True) -> Gallery:
    rows = range(len(scores))
    predictions = pd.DataFrame(
        {
            "sha256": [str(row) for row in rows],
            "path": [f"{row}.png" for row in rows],
            "score": [0.5 + 0.01 * row for row in rows],
        }
    )
    return Gallery(predictions, Shares(np.array(scores), pairs), Grey())  # type: ignore[arg-type]


def size_of(image: bytes) -> tuple[int, ...]:
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).shape  # type: ignore[union-attr]


def test_gallery__shows_the_worst_the_median_and_the_best() -> None:
    found = gallery([0.9, 0.2, 0.2, float("nan"), 0.5, 1.0]).worst_to_best(2)
    assert [picture.label for picture in found] == [
        "worst: 0.20",
        "worst: 0.20",
        "median: 0.50",
        "best: 1.00",
    ]
    assert [picture.source for picture in found] == ["2.png", "1.png", "4.png", "5.png"]


def test_gallery__names_median_and_best_of_few_images_and_of_perfect_ones() -> None:
    few = gallery([0.3, 0.1, 0.2]).worst_to_best(8)
    assert [picture.label for picture in few] == ["worst: 0.10", "median: 0.20", "best: 0.30"]
    perfect = gallery([1, 1, 1]).worst_to_best(8)
    assert [picture.label for picture in perfect] == ["median: 1.00", "best: 1.00"]
    assert [picture.label for picture in gallery([0.3]).worst_to_best(8)] == ["worst: 0.30"]


def test_gallery__shows_errors_alone_where_images_are_right_or_wrong() -> None:
    found = gallery([1, 0, 1, 0], pairs=False).worst_to_best(12)
    assert [picture.source for picture in found] == ["3.png", "1.png"]
    assert gallery([1, 1], pairs=False).worst_to_best(12) == []
    assert gallery([float("nan")]).worst_to_best(12) == []


def test_gallery__scales_pictures_to_what_they_are_for() -> None:
    pair, alone = (gallery([0, 0.5], pairs).worst_to_best(1)[0] for pairs in (True, False))
    assert pair.companion is not None
    assert size_of(pair.image) == size_of(pair.companion) == (SIDE_PX // 2, SIDE_PX, 3)
    assert size_of(alone.image) == (ALONE_PX // 2, ALONE_PX, 3)
    assert size_of(encode(np.zeros((3, 700, 3), np.uint8), 70)) == (1, 70, 3)


@pytest.mark.parametrize("shape", [(90, 200, 3), (200, 90, 3), (40, 40, 3)])
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox", "tiles"])
def test_heat__lies_on_the_picture_where_it_lay_in_the_view(
    fit: str, shape: tuple[int, ...]
) -> None:
    options = Preprocessing.from_record({"size_px": 64, "fit": fit, "mean": [0.0], "std": [1.0]})
    for share in (0.1, 0.5, 0.87):
        pixels = np.zeros(shape, np.uint8)
        y, x = (int(share * side) for side in shape[:2])
        cv2.circle(pixels, (x, y), 4, (255, 255, 255), -1)
        height, width = shape[0] * 3, shape[1] * 3
        laid = np.zeros((height, width), np.float32)
        for view, frame in zip(
            views_of(pixels, options),
            frames_of(pixels.shape, width, height, options),
            strict=True,
        ):
            laid = np.maximum(laid, _laid(view.mean(axis=2) / 255, frame))
        seen = fit != "crop" or share == 0.5
        if not seen:  # in what the middle leaves out
            continue
        assert laid.max() > 0.5
        weight = laid / laid.sum()
        assert (weight.sum(axis=1) @ np.arange(height)) / 3 == pytest.approx(y, abs=1.5)
        assert (weight.sum(axis=0) @ np.arange(width)) / 3 == pytest.approx(x, abs=1.5)


def test_heat__is_none_where_the_view_does_not_reach() -> None:
    options = Preprocessing(size_px=64, fit="crop", mean=(0.0,), std=(1.0,))
    frame = frames_of((64, 200, 3), 200, 64, options)[0]
    laid = _laid(np.ones((64, 64)), frame)
    assert laid[:, :60].max() == laid[:, -60:].max() == 0
    assert laid[10:-10, 80:120].min() == 1
