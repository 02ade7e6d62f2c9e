"""A mask painted across tiles comes back whole."""

import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_masks import CLASSES, draw_mask, iou

from graft.vision.data.masks import decode_mask
from graft.vision.preprocessing import Frame, Preprocessing, frame_of
from graft.vision.records import Array
from graft.vision.tasks.segmentation.predict import mask_of, predict
from graft.vision.tiles import frames_of, views_of

SIZE = 64
VIEW = Preprocessing(size_px=SIZE, fit="tiles", mean=(0.0,) * 3, std=(0.5,) * 3)


def painted(height: int, width: int) -> Array:
    mask = draw_mask(height, width)
    return np.where(mask == 255, 0, mask).astype(np.uint8)


def sees(mask: Array, cells: int = SIZE) -> torch.Tensor:
    """(V, 3, cells, cells) logits of a model that makes no error on the tiles of these pixels."""
    shares = np.stack([np.where(mask == number, 255, 0) for number in range(3)], 2)
    views = np.stack(list(views_of(shares.astype(np.uint8), VIEW)))
    fine = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    return 20 * torch.nn.functional.adaptive_avg_pool2d(fine, cells)


def said(table: pd.DataFrame, row: int = 0) -> Array:
    return decode_mask(json.loads(table["prediction"][row])["png"])


@pytest.mark.parametrize("shape", [(200, 300), (65, 300), (40, 200), (64, 64), (20, 30), (333, 65)])
def test_predict__gives_back_a_mask_that_lies_across_tiles(shape: tuple[int, int]) -> None:
    mask = painted(*shape)
    frames = frames_of((*shape, 3), shape[1], shape[0], VIEW)
    table = predict(sees(mask), CLASSES, 1.0, frames)
    assert len(table) == 1
    found = said(table)
    assert found.shape == shape
    assert np.array_equal(found, mask)
    assert table["score"][0] == pytest.approx(1)


def test_predict__of_coarse_logits_has_no_seams() -> None:
    mask = painted(200, 300)
    frames = frames_of((200, 300, 3), 300, 200, VIEW)
    found = said(predict(sees(mask, SIZE // 4), CLASSES, 1.0, frames))
    assert min(iou(found, mask, number) for number in range(3)) > 0.95


def test_predict__of_reduced_pixels_has_the_size_of_the_original() -> None:
    mask = painted(600, 900)
    frames = frames_of((200, 300, 3), 900, 600, VIEW)
    found = said(predict(sees(mask[1::3, 1::3]), CLASSES, 1.0, frames))
    assert found.shape == (600, 900)
    assert min(iou(found, mask, number) for number in range(3)) > 0.93


def test_predict__takes_the_mean_where_tiles_overlap() -> None:
    frames = frames_of((64, 112, 3), 112, 64, VIEW)  # 0..64 and 48..112
    logits = torch.zeros(2, 3, 16, 16)
    logits[0, 1], logits[1, 2] = 2.0, 1.0  # the first is the surer one
    mask, score = mask_of(logits, 1.0, frames)
    assert (mask[:, :64] == 1).all() and (mask[:, 64:] == 2).all()
    first, second = (one[:, 0, 0].softmax(0) for one in logits)
    both = float(((first + second) / 2).max())
    wanted = (48 * float(first.max()) + 16 * both + 48 * float(second.max())) / 112
    assert score == pytest.approx(wanted, abs=1e-5)


def test_predict__of_tiles_does_not_depend_on_its_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = frames_of((100, 150, 3), 200, 133, VIEW)
    logits = torch.randn(len(frames), 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mask, score = mask_of(logits, 1.0, frames)
    module = import_module("graft.vision.tasks.segmentation.predict")
    monkeypatch.setattr(module, "STRIPE_VALUES", 3 * 200 * 2)
    other, same = mask_of(logits, 1.0, frames)
    assert (mask == other).all()
    assert score == pytest.approx(same)


@pytest.mark.parametrize("shape", [(64, 64), (40, 50), (8, 8)])
def test_predict__of_one_tile_is_that_of_the_plain_view(shape: tuple[int, int]) -> None:
    height, width = shape
    (frame,) = frames_of((*shape, 3), width, height, VIEW)
    as_ever = Frame(width, height, 1.0, 1.0, frame.left, frame.top)
    logits = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tables = [
        predict(logits, CLASSES, 1.5, [each])
        for each in (frame, frame_of((*shape, 3), width, height, VIEW), as_ever)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_predict__of_several_images_has_a_row_for_each() -> None:
    masks = [painted(100, 150), painted(20, 30)]
    outputs = torch.cat([sees(mask) for mask in masks])
    frames = [
        frame
        for mask in masks
        for frame in frames_of((*mask.shape, 3), mask.shape[1], mask.shape[0], VIEW)
    ]
    table = predict(outputs, CLASSES, 1.0, frames)
    assert [said(table, row).shape for row in (0, 1)] == [(100, 150), (20, 30)]
