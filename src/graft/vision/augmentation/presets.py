"""What each preset does to an image, as transforms of albumentations."""

from collections.abc import Callable
from typing import Any

import albumentations as A

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.resizing import EXACT, PLAIN, SMOOTH
from graft.vision.preprocessing import INTERPOLATIONS, Preprocessing


def view_steps(view: Preprocessing) -> list[Any]:
    """The deterministic view, as transforms: the very pixels of `preprocessing.view_of`."""
    size = view.size_px
    if view.fit == "squash":
        return [_resizing(view, A.Resize)(size, size, **_scaling(view))]
    if view.fit == "letterbox":
        longest = _resizing(view, A.LongestMaxSize)
        return [longest(size, **_scaling(view)), _padding(view)]
    if view.fit == "tiles":
        return [_padding(view), A.CenterCrop(size, size)]
    shortest = _resizing(view, A.SmallestMaxSize)
    return [shortest(round(size / view.crop_share), **_scaling(view)), A.CenterCrop(size, size)]


def start_steps(view: Preprocessing) -> list[Any]:
    """What training begins with: the view, or any place of an image that is larger than a tile."""
    if view.fit == "tiles":
        return [_padding(view), A.RandomCrop(view.size_px, view.size_px)]
    return view_steps(view)


def _padding(view: Preprocessing) -> Any:
    """Brings what is smaller than a view to its size, with the mean around it."""
    fill = [round(255 * value) for value in view.mean]
    return A.PadIfNeeded(view.size_px, view.size_px, fill=fill)


def _resizing(view: Preprocessing, plain: Any) -> Any:
    """The class that resizes as the view does, in place of albumentations' own."""
    if view.resize == "exact":
        return EXACT[PLAIN.index(plain)]
    return SMOOTH[PLAIN.index(plain)] if view.is_smooth else plain


def _scaling(view: Preprocessing) -> dict[str, Any]:
    """Area averaging is for shrinking only: of a small image it would make blocks."""
    return {
        "interpolation": INTERPOLATIONS[view.interpolation],
        "area_for_downscale": "image" if view.antialias else None,
    }


def _light(view: Preprocessing, spread: float) -> list[Any]:
    """Brightness, contrast and, where there is colour, saturation and a little hue."""
    if view.channels != 3:
        return []
    factors = (1 - spread, 1 + spread)
    return [A.ColorJitter(factors, factors, factors, (-spread / 15, spread / 15), p=0.8)]


def _any_part(view: Preprocessing, s: float) -> list[Any]:
    """A part of any place and size, brought to the view's; a tile keeps its scale, nearly."""
    if view.fit == "tiles":
        scaled = _resizing(view, A.RandomScale)
        return [scaled((-0.2 * s, 0.2 * s), p=0.5, **_scaling(view)), *start_steps(view)]
    part = _resizing(view, A.RandomResizedCrop)
    size, least = (view.size_px,) * 2, max(0.08, 1 - 0.6 * s)
    return [part(size, scale=(least, 1.0), ratio=(0.8, 1.25), **_scaling(view))]


def _natural(options: PolicyOptions, view: Preprocessing) -> list[Any]:
    s = options.strength
    return [
        *_any_part(view, s),
        A.HorizontalFlip(p=0.5),
        *_light(view, 0.15 * s),
    ]


def _traffic_sign(options: PolicyOptions, view: Preprocessing) -> list[Any]:
    # A mirrored sign is another sign, and a large crop cuts off what tells two apart.
    s = options.strength
    return [
        *start_steps(view),
        A.Affine(
            rotate=(-12 * s, 12 * s),
            scale=(1 - 0.15 * s, 1 + 0.15 * s),
            translate_percent=(-0.08 * s, 0.08 * s),
            shear=(-6 * s, 6 * s),
            border_mode=1,
            p=1.0,
        ),
        # Light by factors, never by sums: a sum would drown a dark sign in black.
        *_light(view, 0.4 * s),
        A.RandomGamma((round(100 / (1 + s)), round(100 * (1 + s))), p=0.5),
        A.GaussianBlur(blur_limit=(3, 5), p=0.15),
    ]


def _radiology(options: PolicyOptions, view: Preprocessing) -> list[Any]:
    # A mirrored chest has its heart on the wrong side; colour means nothing in a radiograph.
    s = options.strength
    return [
        *start_steps(view),
        A.Affine(
            rotate=(-8 * s, 8 * s),
            scale=(1 - 0.1 * s, 1 + 0.1 * s),
            translate_percent=(-0.05 * s, 0.05 * s),
            border_mode=0,
            p=1.0,
        ),
        A.RandomBrightnessContrast((-0.15 * s, 0.15 * s), (-0.15 * s, 0.15 * s), p=0.7),
        A.RandomGamma((round(100 - 20 * s), round(100 + 20 * s)), p=0.5),
    ]


def _microscopy(options: PolicyOptions, view: Preprocessing) -> list[Any]:
    # A slide has no up, no left and no right; its magnification is known, so sizes mean something.
    return [*start_steps(view), A.SquareSymmetry(p=1.0), *_light(view, 0.1 * options.strength)]


def _none(options: PolicyOptions, view: Preprocessing) -> list[Any]:
    return view_steps(view)


PRESETS: dict[str, Callable[[PolicyOptions, Preprocessing], list[Any]]] = {
    "natural": _natural,
    "traffic_sign": _traffic_sign,
    "radiology": _radiology,
    "microscopy": _microscopy,
    "none": _none,
}
