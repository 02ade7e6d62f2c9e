"""Direction: a planted shift of pixels is named as what it is."""

import json

import numpy as np
import pandas as pd
import pytest
from monitored import drawn_batch, picture

from graft.vision.monitoring.batch import Batch, class_columns
from graft.vision.monitoring.direction import explain_drift
from graft.vision.monitoring.image_statistics import NAMES, image_statistics
from graft.vision.monitoring.options import DriftOptions
from graft.vision.monitoring.shifts import SHIFTS, STRENGTHS

OPTIONS = DriftOptions(permutations=199)
PICTURES = [picture(i) for i in range(90)]
STATISTICS = image_statistics(PICTURES)


def batch_of(statistics: pd.DataFrame, seed: int) -> Batch:
    drawn = drawn_batch(len(statistics), seed)
    return Batch(drawn.embeddings, drawn.units, statistics.reset_index(drop=True))


@pytest.mark.parametrize(
    ("shift", "strength", "statistic", "words"),
    [
        ("darker", 0.4, "brightness", "darker (brightness"),
        ("flatter", 0.5, "contrast", "lower in contrast (contrast"),
        ("blurred", 0.02, "sharpness", "more blurred (sharpness"),
        ("warmer", 0.4, "warmth", "warmer in colour (warmth"),
        ("noisier", 0.16, "noise", "noisier or richer in fine texture (noise"),
    ],
)
def test_explain_drift__names_the_planted_shift(
    shift: str, strength: float, statistic: str, words: str
) -> None:
    new = image_statistics(SHIFTS[shift](p, strength) for p in PICTURES[60:])
    found = explain_drift(batch_of(STATISTICS[:60], 1), batch_of(new, 2), OPTIONS, 0)
    assert statistic in found["likely"]
    assert words in found["sentences"][0]


def test_explain_drift__names_nothing_where_nothing_differs() -> None:
    found = explain_drift(batch_of(STATISTICS[:60], 1), batch_of(STATISTICS[60:], 2), OPTIONS, 0)
    assert found["likely"] == []
    assert found["sentences"][0].startswith("No simple statistic")
    assert [row["name"] for row in found["table"]] == list(NAMES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_explain_drift__names_the_class_whose_share_has_changed() -> None:
    known = class_columns([["ant"], ["bee"]] * 40, ["ant", "bee", "wasp"])
    new = class_columns([["bee"]] * 36 + [["ant"]] * 4, ["ant", "bee", "wasp"])
    found = explain_drift(batch_of(known, 1), batch_of(new, 2), OPTIONS, 0)
    assert set(found["likely"]) == {"class ant", "class bee"}
    assert "bee in 90% of them in place of 50%" in found["sentences"][0]


def test_explain_drift__without_statistics_says_so() -> None:
    found = explain_drift(drawn_batch(40, 1), drawn_batch(40, 2), OPTIONS, 0)
    assert found["sentences"] == ["No statistics of images were compared."]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_statistics__reads_any_number_of_channels(channels: int) -> None:
    pixels = np.full((20, 31, channels), 51, np.uint8)
    row = image_statistics([pixels]).iloc[0]
    assert row["brightness"] == pytest.approx(0.2, abs=1e-3)
    assert row[["contrast", "saturation", "warmth", "noise"]].abs().max() < 1e-4


@pytest.mark.parametrize("shift", list(SHIFTS))
def test_shifts__grow_with_their_strength_and_keep_the_shape(shift: str) -> None:
    before = PICTURES[0].astype(float)
    moved = [np.abs(SHIFTS[shift](PICTURES[0], s) - before).mean() for s in STRENGTHS[shift]]
    assert moved == sorted(moved)
    assert moved[0] > 0
    for channels in (1, 4):
        pixels = np.repeat(PICTURES[0][..., :1], channels, axis=2)
        shifted = SHIFTS[shift](pixels, STRENGTHS[shift][1])
        assert (shifted.shape, shifted.dtype) == (pixels.shape, np.uint8)
        assert np.array_equal(shifted, SHIFTS[shift](pixels, STRENGTHS[shift][1]))
