"""One small drawn scene per image, and what each task of the table is told of it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.data.masks import open_masks
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Array
from graft.vision.tasks import choose_task

CLASSES = ("ground", "hut", "pond")
WIDTH, HEIGHT, VIEW_PX = 128, 64, 64
INGESTION = IngestionOptions(decoding=DecodingOptions(short_side_px=64))
BACKBONE = BackboneOptions(
    name="test_efficientnet", weights="none", image_size_px=VIEW_PX, fit="squash"
)


@dataclass(frozen=True)
class Scene:
    """Huts and ponds (``kinds``: numbers of CLASSES) that fill their boxes on the ground."""

    boxes_xyxy: Sequence[tuple[int, int, int, int]]
    kinds: Sequence[int]

    @property
    def mask(self) -> Array:
        """(H, W) uint8 numbers of CLASSES."""
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for (x0, y0, x1, y1), kind in zip(self.boxes_xyxy, self.kinds, strict=True):
            mask[y0:y1, x0:x1] = kind
        return mask

    @property
    def pixels(self) -> Array:
        """(H, W, 3) uint8: one bright channel per kind, over noise."""
        noise = np.random.default_rng(len(self.kinds)).integers(0, 90, (HEIGHT, WIDTH, 3))
        bright = 150 * (self.mask[:, :, None] == np.arange(3))
        return (noise + bright).astype(np.uint8)


# Even places: of a view at half the width each edge lies between two of its pixels.
SCENES = (
    Scene([(8, 8, 40, 40)], [1]),
    Scene([(64, 20, 120, 60), (10, 4, 34, 30)], [2, 1]),
    Scene([], []),
    Scene([(40, 30, 90, 58)], [2]),
)
"""One of them has no objects."""


def _classes_of(scene: Scene, place: int) -> dict[str, Any]:
    return {"classes": [CLASSES[place % len(CLASSES)]]}


def _boxes_of(scene: Scene, place: int) -> dict[str, Any]:
    names = [CLASSES[kind] for kind in scene.kinds]
    boxes = [list(map(float, box)) for box in scene.boxes_xyxy]
    return {"boxes_xyxy": boxes, "classes": names, "size_px": [WIDTH, HEIGHT]}


def _mask_of(scene: Scene, place: int) -> dict[str, Any]:
    present = [CLASSES[kind] for kind in np.unique(scene.mask)]
    said = {"names": CLASSES, "ignored": 255, "classes": present, "size_px": [WIDTH, HEIGHT]}
    return {"mask": f"{place}.png", "mask_sha256": f"mask-{place}", **said}


def _say_classes(ground: Ground, shift: int) -> torch.Tensor:
    right = torch.tensor([int(t["targets"].argmax()) for t in ground.truths(ground.rows)])
    return 20.0 * F.one_hot((right + shift) % len(ground.classes), len(ground.classes))


def _say_boxes(ground: Ground, shift: int) -> torch.Tensor:
    said = torch.zeros(len(ground.rows), 100, 6)
    for row, truth in enumerate(ground.truths(ground.rows)):
        for place, box in enumerate(truth["boxes_xyxy"]):
            kind = (int(truth["class_ids"][place]) + shift) % len(ground.classes)
            said[row, place] = torch.tensor([*(box * VIEW_PX), 1.0, kind])
    return said


def _say_masks(ground: Ground, shift: int) -> torch.Tensor:
    masks = np.stack([truth["mask"][:, ::2] for truth in ground.truths(ground.rows)])
    kinds = (torch.from_numpy(masks).long() + shift) % len(ground.classes)
    return 20.0 * F.one_hot(kinds, len(ground.classes)).movedim(-1, 1)


@dataclass(frozen=True)
class Voice:
    """What a task is told of a scene; and the outputs by which a model says the truth of all
    images, each class moved on by ``shift``."""

    truth: Callable[[Scene, int], dict[str, Any]]
    outputs: Callable[[Ground, int], torch.Tensor]
    options: dict[str, Any]


VOICES = {
    "classification": Voice(_classes_of, _say_classes, {}),
    "detection": Voice(_boxes_of, _say_boxes, {"pyramid_channels": 16, "head_units": 16}),
    "segmentation": Voice(_mask_of, _say_masks, {}),
}
"""By the name of each task of the table."""


def lay_scenes(
    name: str,
    folder: Path,
    scenes: Sequence[Scene] = SCENES,
    backbone: BackboneOptions = BACKBONE,
) -> Ground:
    """The ground of a task over these scenes, all of them training images."""
    store = PixelStore(folder, INGESTION.decoding)
    digests = [hashlib.sha256(f"{i} {s}".encode()).hexdigest() for i, s in enumerate(scenes)]
    with store.array_store.writer() as pixels, open_masks(folder).writer() as masks:
        for place, (digest, scene) in enumerate(zip(digests, scenes, strict=True)):
            pixels.add(digest, scene.pixels, {"width": WIDTH, "height": HEIGHT})
            masks.add(f"mask-{place}", scene.mask)
    card = describe_backbone(backbone)
    view = Preprocessing.from_record(card["preprocessing"])
    voice, chosen = VOICES[name], choose_task({"name": name})[0]
    return lay_ground(
        {"name": name, **voice.options},
        {"names": CLASSES, "exclusive": True},
        _rows(digests, [json.dumps(voice.truth(s, i)) for i, s in enumerate(scenes)]),
        folder,
        INGESTION,
        backbone,
        card,
        compose_policy(PolicyOptions(preset="none"), view, chosen),
        seed=0,
    )


def _rows(digests: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    names = [f"{place}.png" for place in range(len(digests))]
    return pd.DataFrame(
        {
            "id": names,
            "path": names,
            "sha256": digests,
            "width": WIDTH,
            "height": HEIGHT,
            "channels": 3,
            "truth": texts,
            "group": "",
            "given_split": "",
            "notes": "",
            "cluster": names,
            "split": "train",
        }
    )
