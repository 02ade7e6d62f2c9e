"""Grounds of dense tasks of which some objects are stated as another class than they are."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from task_grounds import HEIGHT, WIDTH, Scene

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.data.manifest import build_manifest
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import class_table_of
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Array
from graft.vision.task import StatedObject
from graft.vision.tasks import choose_task

Hit = Callable[[dict[str, Any]], bool]
"""Whether a row of doubts names an object whose class was changed."""
SLOT = 32


def draw_scenes(count: int, seed: int = 0, kinds: tuple[int, ...] = (1, 2)) -> list[Scene]:
    """Scenes with up to eight objects, each in a slot of its own."""
    rng = np.random.default_rng(seed)
    return [_scene(rng, kinds) for _ in range(count)]


def _scene(rng: np.random.Generator, kinds: tuple[int, ...]) -> Scene:
    boxes, found = [], []
    for top in range(0, HEIGHT, SLOT):
        for left in range(0, WIDTH, SLOT):
            if rng.random() < 0.8:
                x, y = left + int(rng.integers(1, 5)) * 2, top + int(rng.integers(1, 5)) * 2
                width, height = (2 * int(side) for side in rng.integers(6, 11, 2))
                boxes.append((x, y, x + width, y + height))
                found.append(int(rng.choice(kinds)))
    return Scene(boxes, found)


def flip(
    ground: Ground, share: float, seed: int, among: Sequence[int] | None = None
) -> tuple[Ground, int, Hit]:
    """The ground with another class for this share of its objects, how many, and which.

    ``among``: the numbers of the classes that are mistaken for each other; all when None.
    """
    kinds = list(range(len(ground.classes)) if among is None else among)
    rng = np.random.default_rng(seed)
    rows = ground.rows
    said = [json.loads(text) for text in rows["truth"]]
    objects = objects_of(ground)
    places = [
        (image, number)
        for image, found in enumerate(objects)
        for number, one in enumerate(found)
        if one.class_id in kinds
    ]
    moved = {}
    for place in rng.choice(len(places), round(share * len(places)), replace=False):
        image, number = places[place]
        others = [kind for kind in kinds if kind != objects[image][number].class_id]
        moved[image, number] = int(rng.choice(others))
    flipped = _flip_masks if "mask_sha256" in said[0] else _flip_boxes
    ground, hit = flipped(ground, said, objects, moved)
    return ground, len(moved), hit


def objects_of(ground: Ground) -> list[list[StatedObject]]:
    """Of each image of the ground."""
    rows = ground.rows
    parts = zip(ground.truths(rows), rows["width"], rows["height"], strict=True)
    return [list(ground.task.objects(truth, width, height)) for truth, width, height in parts]


Moved = Mapping[tuple[int, int], int]


def _flip_boxes(
    ground: Ground, said: list[dict[str, Any]], objects: list[list[StatedObject]], moved: Moved
) -> tuple[Ground, Hit]:
    names, ids = ground.classes.names, list(ground.rows["id"])
    for (image, number), kind in moved.items():
        said[image]["classes"][number] = names[kind]
    wrong = {(ids[image], number + 1) for image, number in moved}
    rows = ground.rows.assign(truth=[json.dumps(one) for one in said])
    return replace(ground, rows=rows), lambda row: (row["id"], row["object"]) in wrong


@dataclass(frozen=True)
class Masks:
    """Masks as they are changed."""

    by_digest: dict[str, Array]

    def read(self, sha256: str) -> Array:
        return self.by_digest[sha256]


def _flip_masks(
    ground: Ground, said: list[dict[str, Any]], objects: list[list[StatedObject]], moved: Moved
) -> tuple[Ground, Hit]:
    """Of what is named, most pixels must have been changed: changed parts may join others."""
    names, ids = ground.classes.names, list(ground.rows["id"])
    digests = [one["mask_sha256"] for one in said]
    before = [np.array(ground.masks.read(digest)) for digest in digests]
    after = [mask.copy() for mask in before]
    for (image, number), kind in moved.items():
        one = objects[image][number]
        after[image][_box(one)][one.grid] = list(said[image]["names"]).index(names[kind])
    ground = replace(ground, masks=Masks(dict(zip(digests, after, strict=True))))
    now = objects_of(ground)

    def hit(row: dict[str, Any]) -> bool:
        image = ids.index(row["id"])
        one = now[image][row["object"] - 1]
        changed = (before[image] != after[image])[_box(one)][one.grid]
        return bool(changed.mean() > 0.5)

    return ground, hit


def _box(one: StatedObject) -> tuple[slice, slice]:
    x0, y0, x1, y1 = map(round, one.box_xyxy)
    return slice(y0, y1), slice(x0, x1)


def lay_real(task: str, root: Path, work: Path, count: int, **source: Any) -> Ground:
    """The ground of this many images of a real data set, all of them training images."""
    decoding = DecodingOptions(short_side_px=480)
    options = IngestionOptions(source=SourceOptions(**source), decoding=decoding)
    manifest = build_manifest(root, PixelStore(work / "pixels", decoding), options).manifest
    chosen = np.linspace(0, len(manifest) - 1, count).astype(int)
    rows: pd.DataFrame = manifest.iloc[chosen].reset_index(drop=True)
    rows = rows.assign(split="train", cluster=rows["id"])
    backbone = BackboneOptions(image_size_px=288, fit="squash")
    card = describe_backbone(backbone)
    view = Preprocessing.from_record(card["preprocessing"])
    policy = compose_policy(PolicyOptions(preset="none"), view, choose_task({"name": task})[0])
    return lay_ground(
        {"name": task}, class_table_of(rows, exclusive=True), rows, work / "pixels", options,
        backbone, card, policy, seed=0,
    )  # fmt: skip
