"""Registered versions that hold nothing but a record of the images that they saw."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd

from graft.adapters.lineage import DIGEST_TAG, IMAGES, RECORD
from graft.adapters.lineage.parents import NONE, SPLIT_AND_WEIGHTS
from graft.adapters.lineage.tables import images_table
from graft.vision.data.decoding import decode
from graft.vision.data.near_copies import open_fingerprints, thumbnail
from graft.vision.data.options import DecodingOptions
from graft.vision.records import Array, digest_of_file

DECODING = DecodingOptions(short_side_px=96)
RAW = Path("data/01_raw/tiny")


def draw(project: Path, count: int) -> list[str]:
    """Images of blocks in the raw folder, with the thumbnails that ingestion keeps; their paths."""
    (project / RAW).mkdir(parents=True)
    names = [f"{number}.png" for number in range(count)]
    store = open_fingerprints(project / "data/02_intermediate/fingerprints", DECODING)
    with store.writer() as thumbnails:
        for number, name in enumerate(names):
            file = project / RAW / name
            cv2.imwrite(str(file), blocks(number))
            thumbnails.add(digest_of_file(file), thumbnail(_pixels(file)))
    return names


def blocks(number: int) -> Array:
    """(96, 128, 3) uint8."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC)


def _pixels(file: Path) -> Array:
    return decode(file.read_bytes(), DECODING).pixels


def record(
    project: Path,
    model: str,
    splits: Mapping[str, str],
    parent: str | None = None,
    gave: str = SPLIT_AND_WEIGHTS,
) -> str:
    """A version that saw these images (name -> split); returns its number."""
    client, task = mlflow.MlflowClient(), model.rpartition("-")[2]
    if model not in {known.name for known in client.search_registered_models()}:
        client.create_registered_model(model)
    version = client.create_model_version(model, (project / "nothing").as_uri())
    case = model.rpartition("-")[0]
    folder = project / f"data/06_models/{case}/{task}/lineage/{version.version}"
    folder.mkdir(parents=True)
    images_table(_manifest(project, splits)).to_parquet(folder / IMAGES, index=False)
    said = {
        "model": {"name": model, "version": version.version, "task": task},
        "parent": _parent(parent, gave),
        "images": {"table_sha256": digest_of_file(folder / IMAGES)},
        "configuration": {
            "parameters": {f"{task}.ingestion": {"decoding": DECODING.model_dump(mode="json")}}
        },
    }
    text = json.dumps(said)
    (folder / RECORD).write_text(text)
    tags = {DIGEST_TAG: hashlib.sha256(text.encode()).hexdigest(), "task": task}
    for key, value in tags.items():
        client.set_model_version_tag(model, version.version, key, value)
    return str(version.version)


def _parent(name: str | None, gave: str) -> Any:
    if name is None:
        return NONE
    model, _, version = name.rpartition("/")
    return {"name": model, "version": version, "weights_sha256": "0" * 64, "gave": gave}


def _manifest(project: Path, splits: Mapping[str, str]) -> pd.DataFrame:
    files = [project / RAW / name for name in splits]
    sizes = [_pixels(file).shape for file in files]
    return pd.DataFrame(
        {
            "id": list(splits),
            "path": list(splits),
            "sha256": [digest_of_file(file) for file in files],
            "width": [size[1] for size in sizes],
            "height": [size[0] for size in sizes],
            "split": list(splits.values()),
            "truth": '{"classes": ["ant"]}',
        }
    )
