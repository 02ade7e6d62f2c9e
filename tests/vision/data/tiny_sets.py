"""Small data sets of boxes and masks, written in the layouts that readers know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.sources import SourceReading, read_source

ALL = 1.0
"""Share of the quarantine that never stops a run."""


def picture(path: Path, width: int = 40, height: int = 30, seed: int = 0, **more: Any) -> Path:
    """An image of noise; its format by its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, width]).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **more)
    return path


def mask(path: Path, values: Any, **more: Any) -> Path:
    """A mask file of these values or colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path, **more)
    return path


def turned(orientation: int) -> Image.Exif:
    """EXIF that turns an image upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def text(path: Path, content: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def voc_object(name: str | None, *corners: object) -> str:
    """One object of a VOC file."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    named = "" if name is None else f"<name>{name}</name>"
    return f"<object>{named}<bndbox>{box}</bndbox></object>"


def voc(path: Path, *objects: str, size: tuple[int, int] | None = (40, 30), more: str = "") -> Path:
    """A VOC file."""
    stated = "" if size is None else f"<width>{size[0]}</width><height>{size[1]}</height>"
    body = f"<annotation>{more}<size>{stated}</size>{''.join(objects)}</annotation>"
    return text(path, body)


def coco(
    path: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    names: tuple[str, ...] = ("ant", "bee"),
) -> Path:
    """A COCO file; category ids count from 1."""
    categories = [{"id": n, "name": name} for n, name in enumerate(names, start=1)]
    record = {"images": images, "annotations": annotations, "categories": categories}
    return text(path, json.dumps(record))


def read(root: Path, **options: Any) -> SourceReading:
    """Read a folder by options as conf holds them."""
    return read_source(root, SourceOptions.parse(options, "test"))


def ingest(root: Path, pixels: Path, share: float = ALL, **options: Any) -> Ingested:
    """Ingest a folder by options as conf holds them; the stores lie below ``pixels``."""
    source = SourceOptions.parse(options, "test")
    chosen = IngestionOptions(source=source, quarantine_share_max=share)
    store = PixelStore(pixels / "pixels", chosen.decoding)
    return build_manifest(root, store, chosen)


def truths(ingested: Ingested) -> dict[str, dict[str, Any]]:
    """The truth of each image by its name."""
    rows = ingested.manifest
    return {
        Path(name).name: json.loads(told)
        for name, told in zip(rows["id"], rows["truth"], strict=True)
    }


def boxes_of(reading: SourceReading) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Class and corners of each image's boxes, as stated."""
    return {
        row.path: [(box.name, box.xyxy) for box in row.boxes.boxes]
        for row in reading.rows
        if row.boxes is not None
    }


def splits_of(reading: SourceReading) -> dict[str, str]:
    """The given split of each image by its path."""
    return {row.path: row.given_split for row in reading.rows}


def reported(rows: pd.DataFrame | list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """File, row, and reason up to its figures."""
    records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    return [(row["file"], row["row"], row["reason"].split(" (")[0]) for row in records]
