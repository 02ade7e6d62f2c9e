"""Policies: each preset does what its name promises, and a composition is taken at its word."""

import json
from typing import Any

import albumentations as A
import numpy as np
import pytest
from tiny_ground import draw_image

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import PRESETS, build_policy, compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.errors import HarmonyError, OptionsError
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array
from graft.vision.task import Task
from graft.vision.tasks import choose_task

TASK: Task = choose_task({"name": "classification"})[0]
PLAIN = [name for name in PRESETS if name != "custom"]
every_preset = pytest.mark.parametrize("preset", PLAIN)


def view(channels: int = 3, **fields: Any) -> Preprocessing:
    plain = {"size_px": 48, "mean": (0.5,) * channels, "std": (0.5,) * channels}
    return Preprocessing.parse({**plain, "channels": channels, **fields}, "test")


def policy(preset: str, *transforms: dict[str, Any], strength: float = 1.0, **fields: Any) -> dict:
    options = PolicyOptions.parse(
        {"preset": preset, "strength": strength, "transforms": list(transforms)}, "test"
    )
    return compose_policy(options, view(**fields), TASK)


def draws(policy: dict[str, Any], pixels: Array, count: int) -> list[Array]:
    augmenter = Augmenter(policy, TASK, 0)
    return [augmenter(pixels, {}, epoch, "sample")[0] for epoch in range(count)]


@every_preset
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
def test_preset__gives_views_of_the_right_shape(preset: str, channels: int, fit: str) -> None:
    built = policy(preset, channels=channels, fit=fit)
    rng = np.random.default_rng(0)
    for height, width in ((60, 90), (90, 30), (20, 24), (48, 48)):
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        for drawn in draws(built, pixels, 6):
            assert drawn.shape == (48, 48, channels)
            assert drawn.dtype == np.uint8


@every_preset
@pytest.mark.parametrize("strength", [0.1, 2.0])
def test_preset__builds_at_any_strength(preset: str, strength: float) -> None:
    drawn = draws(policy(preset, strength=strength), draw_image(0, 0), 4)
    assert {image.shape for image in drawn} == {(48, 48, 3)}


@every_preset
def test_policy__is_plain_json_that_replays_the_same_pixels(preset: str) -> None:
    built = policy(preset)
    again = json.loads(json.dumps(built))
    assert again == built
    for one, other in zip(
        draws(built, draw_image(1, 0), 12), draws(again, draw_image(1, 0), 12), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_custom_policy__replays_the_same_pixels_from_json() -> None:
    steps: list[dict[str, Any]] = [
        {"name": "Rotate", "limit": [-30, 30], "p": 1.0},
        {"name": "CoarseDropout", "num_holes_range": [1, 3], "p": 0.7},
        {"name": "GaussNoise", "std_range": [0.1, 0.2], "p": 0.5},
    ]
    built = policy("custom", *steps)
    again = json.loads(json.dumps(built))
    pairs = zip(draws(built, draw_image(1, 0), 12), draws(again, draw_image(1, 0), 12), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def letter_f(side_px: int = 96) -> Array:
    """A bold F: no turn, shift or shear makes its mirror image of it."""
    pixels = np.full((side_px, side_px, 3), 20, np.uint8)
    pixels[12:84, 20:36] = 240
    pixels[12:28, 20:76] = 240
    pixels[42:56, 20:64] = 240
    return pixels


def likeness(one: Array, other: Array) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def is_mirrored(drawn: Array, plain: Array) -> bool:
    """Whether a draw is nearer to the mirror image than to the image, over small shifts."""
    shifts = [(y, x) for y in range(-8, 9, 2) for x in range(-8, 9, 2)]
    upright, mirrored = (
        max(likeness(np.roll(image, shift, (0, 1)), drawn) for shift in shifts)
        for image in (plain, plain[:, ::-1])
    )
    return mirrored > upright


@pytest.mark.parametrize("preset", ["traffic_sign", "radiology"])
def test_preset__of_what_has_a_side_never_mirrors(preset: str) -> None:
    built, plain = policy(preset), view_of(letter_f(), view())
    assert not any(is_mirrored(drawn, plain) for drawn in draws(built, letter_f(), 120))
    assert not any("Flip" in name for name in names_in(built))


def test_natural_preset__mirrors_about_every_second_image() -> None:
    # Shows as well that the test above would see a mirrored image.
    plain = view_of(letter_f(), view(crop_share=1.0))
    mirrored = [is_mirrored(drawn, plain) for drawn in draws(policy("natural"), letter_f(), 60)]
    assert 0.3 < np.mean(mirrored) < 0.7


def names_in(built: dict[str, Any]) -> list[str]:
    steps = built["albumentations"]["transform"]["transforms"]
    return [step["__class_fullname__"] for step in steps]


def test_radiology__never_changes_colour() -> None:
    grey = np.repeat(draw_image(0, 0)[:, :, :1], 3, axis=2)
    for drawn in draws(policy("radiology", strength=2.0), grey, 200):
        assert (drawn == drawn[:, :, :1]).all()


def test_natural__changes_colour() -> None:
    grey = np.repeat(draw_image(0, 0)[:, :, :1], 3, axis=2) // 2
    grey[:, :, 0] += 40
    hues = {
        tuple(drawn.reshape(-1, 3).mean(0).round(1)) for drawn in draws(policy("natural"), grey, 9)
    }
    assert len(hues) == 9


@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("side_px", [24, 48, 200], ids=["enlarged", "kept", "reduced"])
@pytest.mark.parametrize("how", [{}, {"antialias": False}, {"resize": "exact"}], ids=str)
def test_none_preset__shows_what_evaluation_shows(
    fit: str, side_px: int, how: dict[str, Any]
) -> None:
    pixels = draw_image(1, 3, side_px)
    (drawn,) = draws(policy("none", fit=fit, **how), pixels, 1)
    np.testing.assert_array_equal(drawn, view_of(pixels, view(fit=fit, **how)))


@every_preset
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox", "tiles"])
def test_preset__that_resizes_exactly_is_near_the_fast_one(
    preset: str, channels: int, fit: str
) -> None:
    fields = {"channels": channels, "fit": fit}
    pixels = smooth_image(channels)
    (fast,) = draws(policy(preset, **fields), pixels, 1)
    (exact,) = draws(policy(preset, **fields, resize="exact"), pixels, 1)
    assert exact.shape == fast.shape
    assert np.abs(exact.astype(int) - fast).mean() < 3


def smooth_image(channels: int) -> Array:
    """130 x 90, without edges, of which every way to resize makes nearly the same."""
    y, x = np.mgrid[:130, :90]
    return np.stack([x + y + 10 * channel for channel in range(channels)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("shape", [(90, 130), (130, 90), (25, 40)])
def test_none_preset__of_oblong_images_is_at_most_a_pixel_off(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = np.stack([x, y, x + y], axis=2).astype(np.uint8)
    per_pixel = 2 * min(shape) * 0.875 / 48
    (drawn,) = draws(policy("none"), pixels, 1)
    apart = np.abs(drawn.astype(int) - view_of(pixels, view()))
    assert apart.max() <= per_pixel + 1


def test_custom__refuses_an_unknown_transform_with_the_nearest() -> None:
    with pytest.raises(OptionsError, match=r"'HorizontalFlop' \(did you mean 'HorizontalFlip'\?\)"):
        policy("custom", {"name": "HorizontalFlop", "p": 0.5})


def test_custom__refuses_an_unknown_argument_with_the_nearest() -> None:
    with pytest.raises(OptionsError) as refusal:
        policy("custom", {"name": "GaussianBlur", "blur_limits": [3, 5]})
    for part in ("GaussianBlur", "'blur_limits'", "did you mean 'blur_limit'?"):
        assert part in str(refusal.value)


@pytest.mark.parametrize(
    "step",
    [
        {"name": "Rotate", "limit": "far"},
        {"name": "HorizontalFlip", "p": 2.0},
        {"name": "RandomCrop"},
        {"p": 0.5},
        {"name": "Compose", "transforms": []},
        {"name": "os.system"},
        {"name": "OneOf"},
        {"name": "OneOf", "transforms": []},
        {"name": "OneOf", "transforms": [{"name": "HorizontalFlop"}]},
        {"name": "OneOf", "transforms": [{"name": "HorizontalFlip"}], "chance": 1},
        {"name": "Lambda"},
        {"name": "HistogramMatching"},
        {"name": "DualTransform"},
    ],
)
def test_custom__refuses_what_cannot_be_built(step: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=r"augmentation\.transforms"):
        policy("custom", step)


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ({"name": "Resize", "height": 64, "width": 64}, "64x64x3 uint8"),
        ({"name": "RandomCrop", "height": 16, "width": 16, "p": 0.001}, "16x16x3 uint8"),
        ({"name": "Normalize"}, "48x48x3 float32"),
        ({"name": "ToTensorV2"}, "3x48x48 torch.uint8"),
        ({"name": "ToGray", "num_output_channels": 1}, "48x48 uint8"),
        ({"name": "OneOf", "transforms": [{"name": "NoOp"}, {"name": "ToFloat"}]}, "float32"),
    ],
)
def test_custom__refuses_what_gives_no_view_and_names_both_sides(step, found: str) -> None:
    with pytest.raises(HarmonyError) as refusal:
        policy("custom", step)
    for part in (step["name"], found, "the backbone takes 48x48x3 uint8", "next: "):
        assert part in str(refusal.value)


def test_custom__refuses_what_cannot_work_on_the_channels() -> None:
    with pytest.raises(OptionsError, match="HueSaturationValue does not work on views of 48x48x4"):
        policy("custom", {"name": "HueSaturationValue"}, channels=4)


def test_custom__takes_compositions_that_hold_others() -> None:
    flips = [{"name": "HorizontalFlip", "p": 1.0}, {"name": "VerticalFlip", "p": 1.0}]
    one = policy("custom", {"name": "OneOf", "transforms": flips, "p": 1.0})
    plain = view_of(letter_f(), view())
    seen = draws(one, letter_f(), 40)
    ways = [plain[:, ::-1], plain[::-1]]
    counts = [sum(np.array_equal(drawn, way) for drawn in seen) for way in ways]
    assert sum(counts) == 40 and min(counts) > 5
    both = policy("custom", {"name": "Sequential", "transforms": flips, "p": 1.0})
    np.testing.assert_array_equal(draws(both, letter_f(), 1)[0], plain[::-1, ::-1])


def test_custom__puts_the_view_first_and_keeps_the_order() -> None:
    built = policy("custom", {"name": "VerticalFlip", "p": 1}, {"name": "ToGray", "p": 1})
    names = [name.rpartition(".")[2] for name in names_in(built)]
    assert names == ["SmoothSmallestMaxSize", "CenterCrop", "VerticalFlip", "ToGray"]
    assert isinstance(build_policy(built, TASK), A.Compose)


def test_policy__of_another_version_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"another version; found: 0; allowed: \d"):
        build_policy({**policy("none"), "version": 0}, TASK)


@every_preset
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
def test_policy__is_built_without_a_warning(preset: str, fit: str, recwarn) -> None:
    draws(policy(preset, fit=fit), draw_image(0, 0), 2)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"padding": 0}, r"Resize has no argument 'padding'"),
        ({"hieght": 48}, r"no argument 'hieght' \(did you mean 'height'\?\)"),
        ({"__class_fullname__": "Resise"}, r"no transform 'Resise' \(did you mean 'Resize'\?\)"),
        ({"height": "far"}, "the policy cannot be read"),
    ],
)
def test_policy__that_was_edited_is_read_strictly(change: dict[str, Any], said: str) -> None:
    built = policy("none", fit="squash")
    built["albumentations"]["transform"]["transforms"][0] |= change
    with pytest.raises(OptionsError, match=said):
        build_policy(built, TASK)


@every_preset
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_preset__takes_tiny_and_oblong_images(preset: str, channels: int, shape) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, channels), dtype=np.uint8)
    for fit in ("crop", "squash", "letterbox"):
        for drawn in draws(policy(preset, channels=channels, fit=fit), pixels, 3):
            assert drawn.shape == (48, 48, channels) and drawn.dtype == np.uint8
        assert view_of(pixels, view(channels, fit=fit)).shape == (48, 48, channels)


def test_policy_options__refuse_transforms_that_their_preset_would_leave_out() -> None:
    with pytest.raises(OptionsError, match=r"preset 'natural' has its own.*'custom'"):
        policy("natural", {"name": "VerticalFlip"})


@pytest.mark.parametrize(
    ("options", "meant"),
    [({"presets": "natural"}, "preset"), ({"strenght": 1.0}, "strength")],
)
def test_policy_options__refuse_unknown_keys_with_the_nearest(options, meant: str) -> None:
    with pytest.raises(OptionsError, match=rf"did you mean '{meant}'\?"):
        PolicyOptions.parse(options, "parameters: classification.augmentation")


def test_custom__tries_each_transform_on_a_box_where_the_task_has_boxes() -> None:
    detection = choose_task({"name": "detection"})[0]
    box_safe = {"name": "RandomSizedBBoxSafeCrop", "height": 48, "width": 48}
    options = PolicyOptions.parse({"preset": "custom", "transforms": [box_safe]}, "test")
    assert compose_policy(options, view(fit="squash"), detection)
    with pytest.raises(OptionsError, match="RandomSizedBBoxSafeCrop does not work on views"):
        compose_policy(options, view(fit="squash"), TASK)
    morphology = {"name": "Morphological", "p": 1.0}
    options = PolicyOptions.parse({"preset": "custom", "transforms": [morphology]}, "test")
    assert compose_policy(options, view(size_px=384), TASK)
    with pytest.raises(OptionsError, match="Morphological does not work on views"):
        compose_policy(options, view(size_px=384), detection)  # it fails on boxes of that size
