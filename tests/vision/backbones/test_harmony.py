"""Harmony: weights, policy, head and data that do not fit are refused, with both sides named."""

from typing import Any

import pytest

from graft.vision.backbones.harmony import check_case_harmony
from graft.vision.data.options import DecodingOptions
from graft.vision.errors import HarmonyError

CONTRACT = {"channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3, "size_px": 224}
VIEW = {"size_px": 224, "crop_share": 0.875, "fit": "crop", "mean": [0.5] * 3, "std": [0.5] * 3}
CLASSES = {"names": ["ant", "bee"]}


def check(
    contract: dict[str, Any] | None = None,
    view: dict[str, Any] | None = None,
    size_px: int = 224,
    policy_channels: int = 3,
    classes: dict[str, Any] = CLASSES,
    **decoding: Any,
) -> list[str]:
    card = {"contract": {**CONTRACT, **(contract or {})}, "preprocessing": {**VIEW, **(view or {})}}
    policy = {"size_px": size_px, "channels": policy_channels}
    return check_case_harmony(card, policy, classes, DecodingOptions(**decoding))


def test_harmony__holds_for_a_sound_case_without_a_word() -> None:
    assert check() == []


@pytest.mark.parametrize(
    ("case", "sides"),
    [
        ({"channels": 1}, ["weights' stem", "decoded images", "3 and 1"]),
        ({"contract": {"mean": [0.4] * 3}}, ["the weights", "the view", "0.4", "0.5", "mean"]),
        ({"contract": {"std": [0.2] * 3}}, ["the weights", "the view", "0.2", "0.5", "std"]),
        ({"policy_channels": 1}, ["weights' stem", "the policy", "3 and 1"]),
        ({"size_px": 192}, ["the view", "the policy", "224 and 192"]),
        ({"short_side_px": 240}, ["view of 256 px", "stored images of 240 px"]),
        ({"classes": {"names": ["ant"]}}, ["two classes or more", "['ant'] in the training data"]),
    ],
)
def test_harmony__names_both_sides_and_what_to_do(case: dict[str, Any], sides: list[str]) -> None:
    with pytest.raises(HarmonyError) as refusal:
        check(**case)
    for side in [*sides, "next: "]:
        assert side in str(refusal.value)


def test_harmony__takes_whole_images_and_other_fits_at_their_own_size() -> None:
    assert check(short_side_px=None) == []
    assert check(view={"fit": "squash"}, short_side_px=224) == []


@pytest.mark.parametrize("size_px", [96, 512])
def test_harmony__warns_of_a_size_far_from_the_weights_own(size_px: int) -> None:
    warnings = check(view={"size_px": size_px}, size_px=size_px, short_side_px=None)
    assert len(warnings) == 1
    assert f"{size_px} px" in warnings[0]
    assert "224 px" in warnings[0]
