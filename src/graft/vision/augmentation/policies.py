"""Policies as data: presets and compositions of albumentations, built strictly, saved as JSON."""

import json
from collections.abc import Iterator
from typing import Any

import albumentations as A
import numpy as np

from graft.vision.augmentation.custom import accepted_arguments, build_custom, known_names
from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.presets import PRESETS, start_steps
from graft.vision.augmentation.resizing import OURS
from graft.vision.errors import OptionsError, nearest
from graft.vision.preprocessing import Preprocessing
from graft.vision.task import Task

VERSION = 4
"""Raised whenever one policy and seed draw other pixels: it is part of each policy's digest."""


def compose_policy(options: PolicyOptions, view: Preprocessing, task: Task) -> dict[str, Any]:
    """The policy as a JSON-able record that `build_policy` turns back into transforms.

    Raises:
        OptionsError: for an unknown transform or argument, or one that no record replays.
        HarmonyError: for a transform that gives other than the view's size, type or channels.
    """
    if options.preset == "custom":
        drawn = build_custom(options.transforms, view, task.compose_options())
        steps = [*start_steps(view), *drawn]
    else:
        steps = PRESETS[options.preset](options, view)
    compose = A.Compose(steps, **task.compose_options())
    written = A.to_dict(compose)
    for step in _steps(written["transform"]["transforms"]):
        # albumentations writes down arguments that its own transforms do not take.
        for key in step.keys() - accepted_arguments(step["__class_fullname__"]):
            del step[key]
    record = {
        "version": VERSION,
        "preset": options.preset,
        "size_px": view.size_px,
        "channels": view.channels,
        "albumentations": written,
    }
    record = dict(json.loads(json.dumps(record)))  # as it will be read: lists, no tuples
    _check_replay(compose, build_policy(record, task), view, task)
    return record


def build_policy(policy: dict[str, Any], task: Task) -> A.Compose:
    """Build the transforms of a saved policy. Raises `OptionsError` for what does not fit."""
    if policy.get("version") != VERSION:
        raise OptionsError(
            "the policy is of another version",
            found=policy.get("version"),
            allowed=VERSION,
            mend="run the augmentation pipeline again",
        )
    try:
        _check_steps(policy["albumentations"]["transform"]["transforms"])
        restored = A.from_dict(policy["albumentations"])
    except (KeyError, TypeError, ValueError) as error:
        raise OptionsError(
            "the policy cannot be read",
            found=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            mend="run the augmentation pipeline again",
        ) from error
    return A.Compose(list(restored), **task.compose_options())


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every step of a record, those within others too."""
    for step in steps:
        yield step
        yield from _steps(step.get("transforms", []))


def _check_steps(steps: list[dict[str, Any]]) -> None:
    """albumentations itself only warns of arguments that it does not know."""
    for step in _steps(steps):
        name = step["__class_fullname__"]
        if name not in known_names() and name not in OURS:
            raise ValueError(f"there is no transform {name!r}{nearest(name, known_names())}")
        unknown = sorted(step.keys() - accepted_arguments(name))
        if unknown:
            near = nearest(unknown[0], accepted_arguments(name))
            raise ValueError(f"{name} has no argument {unknown[0]!r}{near}")


def _check_replay(compose: A.Compose, restored: A.Compose, view: Preprocessing, task: Task) -> None:
    """Some arguments are written down in a form that is read as another."""
    shape = (view.size_px, view.size_px * 3 // 2, view.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for seed in range(4):
        drawn: list[Any] = []
        for each in (compose, restored):
            each.set_random_seed(seed)
            drawn.append(task.transform(each, pixels, {})[0])
        if not np.array_equal(drawn[0], drawn[1]):
            raise OptionsError(
                "augmentation.transforms: the policy's record does not replay it",
                found=", ".join(type(step).__name__ for step in compose.transforms),
                mend="write its arguments in another form",
            )
