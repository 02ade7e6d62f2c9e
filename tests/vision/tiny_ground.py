"""A small case of drawn images: three classes, told apart by colour and by the way of a stripe."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.preprocessing import Preprocessing
from graft.vision.tasks import choose_task

SIDE_PX, VIEW_PX = 40, 32
CLASSES = ("ant", "bee", "wasp")
TASK = {"name": "classification"}
INGESTION = IngestionOptions(decoding=DecodingOptions(short_side_px=64))
BACKBONE = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=VIEW_PX)


def draw_image(kind: int, number: int, side_px: int = SIDE_PX) -> np.ndarray:
    """(side, side, 3) uint8: dim noise, with one bright channel and a stripe at its own place."""
    rng = np.random.default_rng([kind, number])
    pixels = rng.integers(0, 90, (side_px, side_px, 3), dtype=np.uint8)
    pixels[:, :, kind % 3] += 80
    at = int(rng.integers(4, side_px - 10))
    if kind % 2:
        pixels[at : at + 6] = 230
    else:
        pixels[:, at : at + 6] = 230
    return pixels


def fill_pixels(store: PixelStore, images: list[np.ndarray]) -> list[str]:
    """Put images into a store as ingestion would; returns their digests."""
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    with store.array_store.writer() as writer:
        for digest, image in zip(digests, images, strict=True):
            writer.add(digest, image, {"width": SIDE_PX, "height": SIDE_PX})
    return digests


def draw_manifest(store: PixelStore, kinds: list[int], split: str) -> pd.DataFrame:
    """Rows of a split manifest, one drawn image per kind (its class)."""
    images = [draw_image(kind, 1000 * len(split) + i) for i, kind in enumerate(kinds)]
    names = [f"{split}/{CLASSES[kind]}_{i:03d}.png" for i, kind in enumerate(kinds)]
    return pd.DataFrame(
        {
            "id": names,
            "path": names,
            "sha256": fill_pixels(store, images),
            "width": SIDE_PX,
            "height": SIDE_PX,
            "channels": 3,
            "truth": [json.dumps({"classes": [CLASSES[kind]]}) for kind in kinds],
            "group": "",
            "given_split": "",
            "notes": "",
            "cluster": names,
            "split": split,
        }
    )


def lay_tiny_ground(
    folder: Path,
    *,
    backbone: BackboneOptions = BACKBONE,
    train: int = 24,
    val: int = 9,
    preset: str = "none",
    kinds: list[int] | None = None,
    **task: Any,
) -> Ground:
    """The ground of the drawn case: ``train`` and ``val`` images, classes in turn."""
    store = PixelStore(folder, INGESTION.decoding)
    rows = pd.concat(
        [
            draw_manifest(store, kinds or [i % 3 for i in range(train)], "train"),
            draw_manifest(store, [i % 3 for i in range(val)], "val"),
            draw_manifest(store, [i % 3 for i in range(9)], "test"),
        ],
        ignore_index=True,
    )
    card = describe_backbone(backbone)
    view = Preprocessing.from_record(card["preprocessing"])
    policy = compose_policy(PolicyOptions(preset=preset), view, choose_task(TASK)[0])  # type: ignore[arg-type]
    return lay_ground(
        {**TASK, **task},
        {"names": CLASSES, "exclusive": True},
        rows,
        folder,
        INGESTION,
        backbone,
        card,
        policy,
        seed=0,
    )
