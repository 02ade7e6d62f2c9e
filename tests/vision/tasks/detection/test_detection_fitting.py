"""Anchors fitted to the boxes of a case."""

import json

import numpy as np
import pytest

from graft.vision.errors import OptionsError
from graft.vision.preprocessing import Preprocessing
from graft.vision.tasks.detection import TaskOptions

VIEW = Preprocessing(size_px=320, fit="squash", mean=(0.5,) * 3, std=(0.5,) * 3)


def texts_of(width: float, height: float, count: int = 40) -> list[str]:
    """One box of this size, in images of 640 by 480 px, with some jitter."""
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(count):
        w, h = np.array([width, height]) * rng.uniform(0.95, 1.05, 2)
        boxes = {"boxes_xyxy": [[10, 10, 10 + w, 10 + h]], "classes": ["ant"]}
        texts.append(json.dumps({**boxes, "size_px": [640, 480]}))
    return [*texts, json.dumps({"boxes_xyxy": [], "classes": [], "size_px": [640, 480]})]


def test_fitted_to__takes_sizes_and_ratios_as_the_view_shows_them() -> None:
    # 48 by 72 px become 24 by 48 px in the squashed view: a ratio of 2, 34 px of 8 px per place.
    fitted = TaskOptions().fitted_to(texts_of(48, 72), VIEW)
    assert fitted.anchor_scales == pytest.approx((4.2, 5.9), rel=0.06)
    assert fitted.anchor_ratios == pytest.approx((1.9, 2.0, 2.1), rel=0.05)


def test_fitted_to__keeps_what_was_asked_for() -> None:
    asked = TaskOptions(anchor_scales=(4.0,))
    fitted = asked.fitted_to(texts_of(48, 72), VIEW)
    assert fitted.anchor_scales == (4.0,)
    assert fitted.anchor_ratios is not None
    assert TaskOptions.from_record(fitted.model_dump(mode="json")) == fitted


@pytest.mark.parametrize(("side", "scale"), [(4, 1.5), (400, 8.0)])
def test_fitted_to__keeps_anchors_where_their_map_sees_them(side: float, scale: float) -> None:
    fitted = TaskOptions().fitted_to(texts_of(side, side), VIEW)
    assert fitted.anchor_scales is not None
    assert fitted.anchor_scales[0] == scale


def test_fitted_to__leaves_the_defaults_with_few_boxes() -> None:
    assert TaskOptions().fitted_to(texts_of(48, 72, count=5), VIEW) == TaskOptions()


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "yolo"},
        {"nms_iou": 0.0},
        {"pyramid_channels": 20},
        {"detections_per_image": 101},
        {"reductions": []},
        {"anchors": [1.0]},
    ],
)
def test_options__refuse_what_does_not_fit(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        TaskOptions.parse(wrong, "task detection")


def test_fitted_to__tiles_takes_sizes_as_the_stored_pixels_have_them() -> None:
    tiles = VIEW.model_copy(update={"fit": "tiles"})
    texts = texts_of(48, 72)
    width, height = json.loads(texts[0])["size_px"]
    halved = TaskOptions().fitted_to(texts, tiles, min(width, height) // 2)
    assert halved == TaskOptions().fitted_to(texts_of(24, 36), tiles, min(width, height))
    assert halved.anchor_scales != TaskOptions().fitted_to(texts, tiles).anchor_scales


def test_fitted_to__knows_that_little_is_not_reduced() -> None:
    tiles, texts = VIEW.model_copy(update={"fit": "tiles"}), texts_of(48, 72)
    whole = TaskOptions().fitted_to(texts, tiles)
    assert TaskOptions().fitted_to(texts, tiles, 384) == whole  # 480 px are a quarter more
    assert TaskOptions().fitted_to(texts, tiles, 383) != whole
