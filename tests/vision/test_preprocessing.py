"""The plain view: one rule for training, evaluation and serving."""

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from graft.vision.preprocessing import Preprocessing, resize_exact, resize_smooth, view_of

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 300, 4), np.uint8)


@pytest.mark.parametrize("size_px", [96, 320], ids=["reduced", "enlarged"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_exact_view__is_that_of_the_usual_transforms(size_px: int, interpolation: str) -> None:
    kept = {"resize": "exact", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    view = Preprocessing(size_px=size_px, interpolation=interpolation, **kept)
    usual = transforms.Compose(
        [
            transforms.Resize(
                round(size_px / 0.875),
                interpolation=transforms.InterpolationMode[interpolation.upper()],
            ),
            transforms.CenterCrop(size_px),
        ]
    )
    pixels = PIXELS[:, :, :3]
    np.testing.assert_array_equal(view_of(pixels, view), usual(Image.fromarray(pixels)))


@pytest.mark.parametrize("channels", [1, 4])
def test_resize_exact__takes_each_channel_as_if_it_were_alone(channels: int) -> None:
    found = resize_exact(PIXELS[:, :, :channels], 40, 30, "bicubic")
    assert found.shape == (30, 40, channels)
    for channel in range(channels):
        alone = Image.fromarray(PIXELS[:, :, channel]).resize((40, 30), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(found[:, :, channel], alone)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(40, 30), (299, 700), (1, 13)], ids=str)
def test_resize_smooth__is_within_two_of_pillow(
    channels: int, interpolation: str, size: tuple[int, int]
) -> None:
    part = PIXELS[7:, 5:203, :channels]  # as crops lie in memory
    part.setflags(write=False)  # as stores give pixels
    found = resize_smooth(part, *size, interpolation)
    exact = resize_exact(part, *size, interpolation)
    assert found.shape == exact.shape
    assert found.flags.c_contiguous
    assert np.abs(found.astype(int) - exact).max() <= 2
