"""A composition of albumentations as conf states it, taken at its word or refused by name."""

import copy
import inspect
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import albumentations as A
import numpy as np

from graft.vision.augmentation.resizing import OURS
from graft.vision.errors import HarmonyError, OptionsError, nearest
from graft.vision.preprocessing import Preprocessing

WHERE = "augmentation.transforms"
COMPOSITIONS = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
"""Transforms that hold others, under ``transforms``."""


def build_custom(
    steps: Sequence[dict[str, Any]], view: Preprocessing, compose_options: Mapping[str, Any]
) -> list[Any]:
    """Transforms in the order given, each tried once on a view, and on a box where boxes travel.

    Args:
        compose_options: the task's, for ``albumentations.Compose``.

    Raises:
        OptionsError: for an unknown transform or argument, or one that cannot be built or saved.
        HarmonyError: for one that gives other than uint8 views of the same size and channels.
    """
    transforms = []
    for step in steps:
        transform = _transform(dict(step))
        _try(transform, view, compose_options)
        transforms.append(transform)
    return transforms


@cache
def known_names() -> tuple[str, ...]:
    """Every name that a step may have."""
    kinds = [n for n in dir(A) if isinstance(getattr(A, n), type)]
    return (*COMPOSITIONS, *(n for n in kinds if issubclass(getattr(A, n), A.BasicTransform)))


@cache
def accepted_arguments(name: str) -> frozenset[str]:
    """Of a transform, with the two keys that its record has besides."""
    kind = OURS.get(name) or getattr(A, name)
    return frozenset(inspect.signature(kind).parameters) | {"__class_fullname__", "p"}


def _transform(step: dict[str, Any]) -> Any:
    """One transform by name, with arguments that it really has."""
    name = str(step.pop("name", ""))
    if name not in known_names():
        raise OptionsError(
            f"{WHERE}: albumentations has no transform {name!r}{nearest(name, known_names())}",
            mend="correct the name",
        )
    accepted = accepted_arguments(name) - {"__class_fullname__"}
    for key in step:
        if key not in accepted:
            raise OptionsError(
                f"{WHERE}: {name} has no argument {key!r}{nearest(key, accepted)}",
                allowed=", ".join(sorted(accepted)),
                mend="correct its arguments",
            )
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in step.items()}
    if name in COMPOSITIONS:
        arguments["transforms"] = _inner(name, step)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            transform = getattr(A, name)(**arguments)
            A.to_dict(transform)
    except (ValueError, TypeError, UserWarning, NotImplementedError) as error:
        raise OptionsError(
            f"{WHERE}: {name} cannot be built and saved",
            found=f"{step}: {_line(error)}",
            mend="correct its arguments",
        ) from error
    return transform


def _inner(name: str, step: dict[str, Any]) -> list[Any]:
    inner = step.get("transforms")
    if not isinstance(inner, list | tuple) or not inner:
        raise OptionsError(
            f"{WHERE}: {name} needs transforms to choose from",
            found=inner,
            mend="list them under `transforms`, each with its name",
        )
    return [_transform(dict(each)) for each in inner]


def _try(transform: Any, view: Preprocessing, compose_options: Mapping[str, Any]) -> None:
    """What it gives must be a view again: later it would fail, or train on other images than
    those that evaluation sees."""
    shape = (view.size_px, view.size_px, view.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    name = type(transform).__name__
    for chosen in _certain(transform):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                compose = A.Compose([chosen], seed=0, **compose_options)
                found = compose(image=pixels, **_box(compose_options))["image"]
        except Exception as error:  # each transform has its own ways to fail
            raise OptionsError(
                f"{WHERE}: {name} does not work on views of {_words(pixels)}",
                found=f"{type(error).__name__}: {_line(error)}",
                mend="take it out, or give it what it needs",
            ) from error
        if _words(found) != _words(pixels):
            raise HarmonyError(
                f"{WHERE}: {name} gives other views than the backbone takes",
                found=f"{_words(found)} where the backbone takes {_words(pixels)}",
                mend="take it out; the view has its size and the weights their normalisation",
            )


def _box(compose_options: Mapping[str, Any]) -> dict[str, Any]:
    """One box in the middle, with its labels; nothing for a task without boxes."""
    params = compose_options.get("bbox_params")
    if params is None:
        return {}
    box = np.array([[0.25, 0.25, 0.75, 0.75]], np.float32)
    return {"bboxes": box, **{field: np.zeros(1, int) for field in params.label_fields or ()}}


def _certain(transform: Any) -> list[Any]:
    """Copies that certainly happen: the transform itself, or each that it may choose from."""
    if isinstance(transform, A.BaseCompose):
        return [each for inner in transform.transforms for each in _certain(inner)]
    chosen = copy.deepcopy(transform)
    chosen.p = 1.0
    return [chosen]


def _words(pixels: Any) -> str:
    return f"{'x'.join(str(side) for side in pixels.shape)} {pixels.dtype}"


def _line(error: Exception) -> str:
    """What pydantic says spans lines, of which the last but one tells most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:200]
