"""Tiles cover an image, lie where their frames say, and are the plain view where one is enough."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.data.masks import IGNORED, decode_mask, encode_mask
from graft.vision.data.shown_truths import words_shown
from graft.vision.errors import HarmonyError
from graft.vision.preprocessing import Frame, Preprocessing, frame_of, view_of
from graft.vision.records import Array
from graft.vision.tasks import choose_task
from graft.vision.tiles import OVERLAP, by_image, frames_of, images_at_once, view_count, views_of

SIZE = 64
MEAN = (0.2, 0.5, 0.7)
FILL = [51, 128, 178]


def tiles(size_px: int = SIZE, fit: Any = "tiles") -> Preprocessing:
    return Preprocessing(size_px=size_px, fit=fit, mean=MEAN, std=MEAN)


def numbered(height: int, width: int) -> Array:
    """(H, W, 3) uint8 in which a place is told by its pixel."""
    y, x = np.indices((height, width))
    return np.stack([x % 251, y % 251, (x // 251 + 7 * (y // 251)) % 256], axis=2).astype(np.uint8)


@given(height=st.integers(1, 300), width=st.integers(1, 300), size=st.integers(32, 90))
@settings(max_examples=60, deadline=None)
def test_tiles__cover_every_pixel_where_their_frames_say(
    height: int, width: int, size: int
) -> None:
    pixels, view = numbered(height, width), tiles(size)
    seen = np.zeros((height, width), bool)
    frames = frames_of(pixels.shape, width, height, view)
    views = list(views_of(pixels, view))
    assert len(views) == len(frames) == view_count(pixels.shape, view)
    for tile, frame in zip(views, frames, strict=True):
        assert tile.shape == (size, size, 3) and tile.flags.c_contiguous
        left, top = int(frame.left), int(frame.top)
        rows = slice(max(0, -top), min(height, size - top))
        columns = slice(max(0, -left), min(width, size - left))
        shown = tile[rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
        assert np.array_equal(shown, pixels[rows, columns])
        if shown.size < tile.size:
            assert (tile == FILL).all(axis=2).sum() >= tile.shape[0] ** 2 - shown.shape[0] * size
        seen[rows, columns] = True
    assert seen.all()
    assert [frame.tile for frame in frames] == list(range(len(frames)))


@given(length=st.integers(65, 900))
@settings(max_examples=60, deadline=None)
def test_tiles__overlap_and_end_with_the_image(length: int) -> None:
    frames = frames_of((SIZE, length, 3), length, SIZE, tiles())
    starts = [-frame.left for frame in frames]
    assert starts[0] == 0 and starts[-1] == length - SIZE
    assert max(np.diff(starts)) <= np.ceil(SIZE * (1 - OVERLAP))


def test_tile__of_a_small_image_lies_in_the_middle_of_the_mean() -> None:
    pixels = numbered(8, 9)
    (tile,) = views_of(pixels, tiles())
    assert np.array_equal(tile, view_of(pixels, tiles()))
    assert np.array_equal(tile[28:36, 27:36], pixels)
    assert (tile[:28] == FILL).all() and (tile[:, 36:] == FILL).all()
    assert frames_of((8, 9, 3), 9, 8, tiles()) == [frame_of((8, 9, 3), 9, 8, tiles())]


def test_tiles__keep_the_scale_of_the_stored_pixels() -> None:
    frames = frames_of((100, 150, 3), 450, 300, tiles())
    assert {(frame.scale_x, frame.scale_y) for frame in frames} == {(1 / 3, 1 / 3)}
    assert len(frames) == 2 * 3


@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
def test_views__of_every_other_fit_are_the_plain_one(fit: str) -> None:
    pixels, view = numbered(100, 150), tiles(fit=fit)
    (only,) = views_of(pixels, view)
    assert np.array_equal(only, view_of(pixels, view))
    assert frames_of(pixels.shape, 150, 100, view) == [frame_of(pixels.shape, 150, 100, view)]
    assert view_count(pixels.shape, view) == 1
    assert images_at_once(view) > images_at_once(tiles()) == 1


def test_views__of_grey_images_have_the_channels_that_the_weights_take() -> None:
    grey = numbered(70, 70)[:, :, :1]
    assert {view.shape for view in views_of(grey, tiles())} == {(SIZE, SIZE, 3)}


def test_by_image__parts_outputs_where_an_image_begins() -> None:
    frames = [Frame(9, 9, 1.0, 1.0, 0.0, 0.0, SIZE, tile) for tile in (0, 1, 0, 0, 1, 2)]
    parts = [(len(part), len(seen)) for part, seen in by_image(torch.zeros(6, 2), frames)]
    assert parts == [(2, 2), (1, 1), (3, 3)]
    assert list(by_image(torch.zeros(0, 2), [])) == []
    with pytest.raises(ValueError, match="5 outputs of 6 views"):
        list(by_image(torch.zeros(5, 2), frames))


@pytest.mark.parametrize("shape", [(200, 150), (65, 64), (40, 90), (90, 33), (64, 64), (8, 8)])
def test_none_preset__shows_the_plain_tile(shape: tuple[int, int]) -> None:
    task, pixels = choose_task({"name": "segmentation"})[0], numbered(*shape)
    policy = compose_policy(PolicyOptions(preset="none"), tiles(), task)
    drawn = Augmenter(policy, task, 0)(pixels, {}, 0, "a")[0]
    np.testing.assert_array_equal(drawn, view_of(pixels, tiles()))


@pytest.mark.parametrize("preset", ["natural", "traffic_sign", "radiology", "microscopy", "custom"])
def test_training__sees_every_part_of_a_large_image(preset: Any) -> None:
    task = choose_task({"name": "segmentation"})[0]
    policy = compose_policy(PolicyOptions(preset=preset), tiles(), task)
    augment = Augmenter(policy, task, 0)
    pixels = np.full((160, 240, 3), 128, np.uint8)
    mask = np.arange(160)[:, None] // 40 * 6 + np.arange(240) // 40
    truth = {"mask": mask.astype(np.uint8), "targets": np.zeros(24, np.float32)}
    found = set()
    for epoch in range(60):
        view, kept = augment(pixels, truth, epoch, "a")
        assert view.shape == (SIZE, SIZE, 3) and kept["mask"].shape == (SIZE, SIZE)
        assert kept["targets"].sum() <= 12  # a part, at about its own scale
        found |= set(np.unique(kept["mask"])) - {IGNORED}
    assert found == set(range(24))


def test_classification__refuses_tiles_and_says_what_to_do() -> None:
    _, options = choose_task({"name": "classification"})
    assert options.fitted_to([], tiles(fit="squash")) == options
    with pytest.raises(HarmonyError, match=r"set backbone\.fit to one of these"):
        options.fitted_to([], tiles())


def test_words_shown__clip_boxes_and_leave_out_what_is_hardly_seen() -> None:
    frame = frame_of((100, 200, 3), 400, 200, tiles())  # shows 136..264, 36..164
    boxes = [[100, 100, 172, 140], [0, 0, 137, 200], [150, 50, 160, 60], [0, 0, 10, 10]]
    said = {"boxes_xyxy": boxes, "classes": ["a", "b", "c", "d"], "size_px": [400, 200]}
    shown = json.loads(words_shown(json.dumps(said), frame))
    assert shown["boxes_xyxy"] == [[136, 100, 172, 140], [150, 50, 160, 60]]
    assert shown["classes"] == ["a", "c"]
    assert shown["size_px"] == [400, 200]


def test_words_shown__ignore_the_mask_beside_the_tile() -> None:
    mask = np.ones((200, 400), np.uint8)
    frame = frame_of((100, 200, 3), 400, 200, tiles())
    said = {"size_px": [400, 200], "names": ["a", "b"], "ignored": 255, "png": encode_mask(mask)}
    shown = decode_mask(json.loads(words_shown(json.dumps(said), frame))["png"])
    assert (shown[36:164, 136:264] == 1).all()
    assert (shown == IGNORED).sum() == 200 * 400 - 128 * 128
