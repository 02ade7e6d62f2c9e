"""A small case of each task over images of every shape and kind, judged as a run judges it."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.meeting import predict_contenders
from graft.vision.data.decoding import Decoded, decode
from graft.vision.data.masks import open_masks
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.model import TrainedModel
from graft.vision.records import digest_of_file
from small_tasks import SMALL_TASKS

CLASSES = ("ant", "bee", "wasp")
VIEW_PX = 64
INGESTION = IngestionOptions(decoding=DecodingOptions(short_side_px=96))


@dataclass(frozen=True)
class ServedCase:
    """A model with the predictions that it was judged by."""

    model: TrainedModel
    folder: Path
    """Of the image files."""
    predictions: Path
    """Parquet as a run writes it."""


def draw_files(folder: Path) -> list[Path]:
    """Wide, tall, tiny, turned by EXIF, grey, with alpha, of 16 bits, and larger than is kept."""
    folder.mkdir(parents=True)
    for number, (name, (width, height)) in enumerate(
        {"plain.jpg": (120, 90), "wide.png": (330, 50), "tall.png": (40, 300), "tiny.png": (8, 8),
         "turned.jpg": (140, 100), "grey.png": (77, 99), "alpha.png": (90, 64),
         "deep.png": (70, 110), "large.jpg": (900, 700)}.items()
    ):  # fmt: skip
        rng = np.random.default_rng(number)
        blocks = rng.integers(0, 255, (max(1, height // 9), max(1, width // 9), 3), dtype=np.uint8)
        drawn = Image.fromarray(blocks).resize((width, height))
        (folder / name).write_bytes(_coded(drawn, name))
    return sorted(folder.iterdir())


def _coded(drawn: Image.Image, name: str) -> bytes:
    file, kind = io.BytesIO(), name.partition(".")[0]
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
    if kind == "grey":
        drawn = drawn.convert("L")
    if kind == "alpha":
        drawn.putalpha(drawn.convert("L"))
    if kind == "deep":
        drawn = Image.fromarray(np.asarray(drawn.convert("L")).astype(np.uint16) * 200 + 900)
    drawn.save(file, "JPEG" if name.endswith("jpg") else "PNG", exif=exif)
    return file.getvalue()


def _classes_of(found: Decoded) -> dict[str, Any]:
    return {"classes": [CLASSES[found.width % 3]]}


def _boxes_of(found: Decoded) -> dict[str, Any]:
    size = [found.width, found.height]
    return {"boxes_xyxy": [[1, 2, *size]], "classes": [CLASSES[0]], "size_px": size}


def _mask_of(found: Decoded) -> dict[str, Any]:
    said = {"mask": "mask.png", "mask_sha256": f"{found.width}x{found.height}", "ignored": 255}
    return {**said, "names": CLASSES, "classes": CLASSES, "size_px": [found.width, found.height]}


TRUTHS: dict[str, Callable[[Decoded], dict[str, Any]]] = {
    "classification": _classes_of,
    "detection": _boxes_of,
    "segmentation": _mask_of,
}


def lay_case(task: str, folder: Path, fit: Any = "squash") -> ServedCase:
    """A model as training leaves it, but for the training; what it said of the files."""
    files = draw_files(folder / "files")
    backbone = BackboneOptions(
        name="test_efficientnet", weights="none", image_size_px=VIEW_PX, fit=fit
    )
    ground = lay_ground(
        {"name": task, **SMALL_TASKS[task]},
        {"names": CLASSES, "exclusive": True},
        _ingested(task, files, folder / "pixels"),
        folder / "pixels",
        INGESTION,
        backbone,
        describe_backbone(backbone),
        {},
        seed=0,
    )
    model = ground.finish("fine_tuned", ground.new_model(), "full", 1.0, {})
    return ServedCase(model, folder / "files", _judged(ground, model, folder))


def _ingested(task: str, files: list[Path], folder: Path) -> pd.DataFrame:
    rows = []
    with (
        PixelStore(folder, INGESTION.decoding).array_store.writer() as pixels,
        open_masks(folder).writer() as masks,
    ):
        for file in files:
            found = decode(file.read_bytes(), INGESTION.decoding)
            digest, size = digest_of_file(file), {"width": found.width, "height": found.height}
            pixels.add(digest, found.pixels, size)
            mask = np.indices((found.height, found.width)).sum(axis=0) % 3
            masks.add(f"{found.width}x{found.height}", mask.astype(np.uint8))
            text = json.dumps(TRUTHS[task](found))
            rows.append(
                {"id": file.name, "path": file.name, "sha256": digest, "truth": text, **size}
            )
    named = {"channels": 3, "group": "", "given_split": "", "notes": "", "split": "test"}
    return pd.DataFrame(rows).assign(**named, cluster=[row["id"] for row in rows])


def _judged(ground: Ground, model: TrainedModel, folder: Path) -> Path:
    path = folder / "test_predictions.parquet"
    predict_contenders(ground, [model], {"fine_tuned": 1.0}).to_parquet(path)
    return path
