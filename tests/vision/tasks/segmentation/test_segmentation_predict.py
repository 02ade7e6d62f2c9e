import json
from importlib import import_module

import numpy as np
import pytest
import torch
from drawn_masks import CLASSES, draw_mask, iou
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.vision.data.masks import decode_mask
from graft.vision.preprocessing import Frame, Preprocessing, frame_of, view_of
from graft.vision.records import Array
from graft.vision.tasks.segmentation.predict import mask_of, predict

FITS = ("squash", "letterbox", "crop")


def view_options(fit: str, size: int) -> Preprocessing:
    return Preprocessing(
        size_px=size,
        fit=fit,  # type: ignore[arg-type]
        crop_share=0.9,
        interpolation="bilinear",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )


def logits_of(mask: Array, fit: str, size: int) -> tuple[torch.Tensor, Frame]:
    """The logits that a perfect model would give for this mask's view, at a quarter of it."""
    channels = [np.where(mask == number, 255, 0) for number in range(3)]
    options = view_options(fit, size)
    view = view_of(np.stack(channels, 2).astype(np.uint8), options)
    shares = torch.from_numpy(view).permute(2, 0, 1)[None].float() / 255
    fine = torch.nn.functional.adaptive_avg_pool2d(shares, size // 4)[0]
    return 20 * fine, frame_of((*mask.shape, 3), mask.shape[1], mask.shape[0], options)


def said(text: str) -> tuple[Array, dict[str, object]]:
    words = json.loads(text)
    return decode_mask(words["png"]), words


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [256, 254, 255, 257])
@pytest.mark.parametrize("shape", [(180, 240), (181, 120), (333, 411)])
def test_predict__lays_the_view_back_over_the_original(
    fit: str, size: int, shape: tuple[int, int]
) -> None:
    mask = np.where(draw_mask(*shape) == 255, 0, draw_mask(*shape)).astype(np.uint8)
    logits, frame = logits_of(mask, fit, size)
    found, _ = mask_of(logits[None], 1.0, [frame])
    assert found.shape == shape
    seen = slice(None)
    if fit == "crop":  # only the centre square was seen
        side, short = round(min(shape) * 0.9) - 4, [(length, min(shape)) for length in shape]
        tops = [(length - side) // 2 for length, _ in short]
        seen = tuple(slice(top, top + side) for top in tops)  # type: ignore[assignment]
    for number in range(3):
        assert iou(found[seen], mask[seen], number) > 0.95


@pytest.mark.parametrize("fit", FITS)
@given(width=st.integers(1, 90), height=st.integers(1, 90), size=st.integers(8, 70))
@settings(max_examples=30, deadline=None)
def test_predict__has_the_size_of_any_original(
    fit: str, width: int, height: int, size: int
) -> None:
    frame = frame_of((height, width, 3), width, height, view_options(fit, size))
    outputs = torch.randn(1, 3, size // 4, size // 4)
    table = predict(outputs, CLASSES, 1.0, [frame])
    mask, words = said(table["prediction"][0])
    assert mask.shape == (height, width)
    assert mask.dtype == np.uint8
    assert words["size_px"] == [width, height]
    assert words["names"] == list(CLASSES.names)
    assert 1 / 3 - 1e-6 <= table["score"][0] <= 1


def test_predict__does_not_depend_on_its_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(50, 37, 32 / 50, 32 / 37, 0.0, 0.0)
    logits = torch.randn(3, 8, 8)
    mask, score = mask_of(logits[None], 1.0, [frame])
    module = import_module("graft.vision.tasks.segmentation.predict")
    monkeypatch.setattr(module, "STRIPE_VALUES", 3 * 50 * 2)
    other, same = mask_of(logits[None], 1.0, [frame])
    assert (mask == other).all()
    assert score == pytest.approx(same)


def test_predict__enlarges_as_bilinear_interpolation_does() -> None:
    logits = torch.randn(3, 8, 8)
    mask, score = mask_of(logits[None], 2.0, [Frame(50, 37, 32 / 50, 32 / 37, 0.0, 0.0)])
    enlarged = torch.nn.functional.interpolate(
        (logits / 2).softmax(0)[None], (37, 50), mode="bilinear", align_corners=False
    )[0]
    best, chosen = enlarged.max(0)
    assert (mask == chosen.numpy()).mean() > 0.999
    assert score == pytest.approx(float(best.mean()), abs=1e-5)


def test_predict__is_less_sure_at_a_higher_temperature_and_says_the_same() -> None:
    logits, frame = logits_of(draw_mask(60, 80) % 3, "squash", 64)
    sure, unsure = (predict(logits[None], CLASSES, t, [frame]) for t in (1.0, 10.0))
    assert unsure["score"][0] < sure["score"][0]
    same = said(sure["prediction"][0])[0] == said(unsure["prediction"][0])[0]
    assert same.mean() > 0.95


def test_predict__cuts_off_what_lies_in_the_padding() -> None:
    frame = frame_of((20, 80, 3), 80, 20, view_options("letterbox", 64))
    logits = torch.zeros(3, 16, 16)
    logits[1] = 9  # the padding, above and below
    logits[1, 6:10], logits[2, 6:10] = 0, 9
    assert (mask_of(logits[None], 1.0, [frame])[0] == 2).all()


def test_predict__of_no_image_is_an_empty_table() -> None:
    table = predict(torch.zeros(0, 3, 8, 8), CLASSES, 1.0, ())
    assert list(table.columns) == ["prediction", "score"]
    assert len(table) == 0
    assert table["score"].dtype == float
