"""Eight EXIF orientations of one picture are one array on every path, and truths lie on its object.

The paths: ingestion's store, training, extraction of features, evaluation, and serving.
"""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from image_roads import digest_of_pixels
from PIL import Image

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.meeting import predict_contenders
from graft.vision.contenders.probe import extract_frozen_features
from graft.vision.data.boxes import turn_box
from graft.vision.data.manifest import build_manifest
from graft.vision.data.masks import open_masks
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Array
from graft.vision.serving import predict_images
from graft.vision.tasks import choose_task
from graft.vision.training.options import FineTuningOptions
from small_tasks import SMALL_TASKS

WIDTH, HEIGHT = 72, 48
SPLITS = ("train", "val", "test")
LAID = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""How Pillow lays a picture down for each orientation: the inverse of what makes it upright."""
INVERSE = {6: 8, 8: 6}
"""The orientation that turns a box of the upright frame into the stored one."""
LAYOUTS: dict[str, dict[str, Any]] = {
    "detection": {"layout": "voc"},
    "segmentation": {"layout": "masks", "class_names": ["ground", "object"]},
}
Digests = dict[str, set[str]]


def scene(number: int) -> tuple[Array, tuple[int, int, int, int]]:
    """A dim upright picture with one red object, and the object's box."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    x0, y0 = int(rng.integers(4, 30)), int(rng.integers(4, 12))
    box = (x0, y0, x0 + 28, y0 + 17)
    pixels[box[1] : box[3], box[0] : box[2]] = (250, 20, 20)
    return pixels, box


def stored(pixels: Array, orientation: int) -> bytes:
    """A PNG whose EXIF must turn it upright."""
    exif, image, out = Image.Exif(), Image.fromarray(pixels), io.BytesIO()
    exif[0x0112] = orientation
    if orientation in LAID:
        image = image.transpose(Image.Transpose(LAID[orientation]))
    image.save(out, "PNG", exif=exif)
    return out.getvalue()


def lay_raw(root: Path, task: str) -> Path:
    """Eight files of one picture in each split.

    Boxes are drawn on what is stored where its size can tell so, after a quarter turn, and else
    upright as masks are.
    """
    for number, split in enumerate(SPLITS):
        pixels, box = scene(number)
        for orientation in range(1, 9):
            name = f"{split}_{orientation}"
            write(root / f"JPEGImages/{split}/{name}.png", stored(pixels, orientation))
            if task == "detection":
                write(root / f"Annotations/{split}/{name}.xml", voc(box, orientation))
            else:
                mask, out = np.zeros((HEIGHT, WIDTH), np.uint8), io.BytesIO()
                mask[box[1] : box[3], box[0] : box[2]] = 1
                Image.fromarray(mask).save(out, "PNG")
                write(root / f"masks/{split}/{name}.png", out.getvalue())
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def voc(box: tuple[int, int, int, int], orientation: int) -> bytes:
    """The annotation of a file, with its stored size."""
    turn = INVERSE.get(orientation, orientation) if orientation >= 5 else 1
    corners = turn_box(box, turn, WIDTH, HEIGHT)
    size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inside = "".join(f"<{tag}>{value:g}</{tag}>" for tag, value in tags)
    return (
        f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>object</name><bndbox>{inside}</bndbox></object></annotation>"
    ).encode()


@dataclass
class Laid:
    """A case of oriented files."""

    ground: Ground
    raw: Path
    work: Path


@pytest.fixture(params=sorted(LAYOUTS))
def laid(request: pytest.FixtureRequest, tmp_path: Path) -> Laid:
    task = request.param
    raw = lay_raw(tmp_path / "raw", task)
    source = SourceOptions.parse(LAYOUTS[task], "test")
    ingestion = IngestionOptions(source=source, decoding=DecodingOptions(short_side_px=32))
    store = PixelStore(tmp_path / "pixels", ingestion.decoding)
    ingested = build_manifest(raw, store, ingestion)
    assert ingested.quarantine.empty and len(ingested.manifest) == 24
    rows = ingested.manifest.assign(cluster=ingested.manifest["id"])
    rows["split"] = rows["given_split"]
    return Laid(_ground(task, rows, tmp_path / "pixels", ingestion), raw, tmp_path)


def _ground(task: str, rows: pd.DataFrame, pixels: Path, ingestion: IngestionOptions) -> Ground:
    backbone = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=64)
    card, options = describe_backbone(backbone), {"name": task, **SMALL_TASKS[task]}
    view = Preprocessing.from_record(card["preprocessing"])
    policy = compose_policy(PolicyOptions(preset="none"), view, choose_task(options)[0])
    names = sorted({name for text in rows["truth"] for name in json.loads(text)["classes"]})
    table = {"names": names, "exclusive": task != "detection"}
    return lay_ground(options, table, rows, pixels, ingestion, backbone, card, policy, seed=0)


def watch_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Digests]:
    """What the pixel store is asked for from now on: digests of arrays by digest of their file."""
    read: Digests = {}
    plain = PixelStore.read

    def watched(store: PixelStore, sha256: str) -> Array:
        pixels = plain(store, sha256)
        read.setdefault(sha256, set()).add(digest_of_pixels(pixels))
        return pixels

    monkeypatch.setattr(PixelStore, "read", watched)

    def taken() -> Digests:
        found = dict(read)
        read.clear()
        return found

    return taken


def test_orientations__are_one_array_on_every_path(
    laid: Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground, taken = laid.ground, watch_reads(monkeypatch)
    wanted = {
        row.sha256: {digest_of_pixels(ground.pixels.read(row.sha256))}
        for row in ground.rows.itertuples()
    }
    by_scene = {
        split: {digest for sha in ground.split(split)["sha256"] for digest in wanted[sha]}
        for split in SPLITS
    }
    assert [len(digests) for digests in by_scene.values()] == [1, 1, 1]
    assert len(set.union(*by_scene.values())) == 3
    taken()
    paths = {"extraction": lambda: extract_frozen_features(
        ground, laid.work / "features", FeatureExtractionOptions()
    )}  # fmt: skip
    model = ground.new_model()
    options = FineTuningOptions.parse({"strategy": "full", "epochs": 1, "batch_size": 8}, "test")
    paths["training"] = lambda: run_training(
        "fine_tuned", ground, model, laid.work / "checkpoints", options
    )
    finished = ground.finish("fine_tuned", model, "full", 1.0, {})
    paths["evaluation"] = lambda: predict_contenders(ground, [finished], {"fine_tuned": 1.0})
    splits = {"extraction": SPLITS, "training": ("train", "val"), "evaluation": ("test",)}
    for name, path in paths.items():
        path()
        needed = set(ground.split(*splits[name])["sha256"])
        read = taken()
        assert needed <= read.keys(), name
        assert {sha: wanted[sha] for sha in read} == read, name
    assert served(finished, laid) == [by_scene[split] for split in SPLITS]


def served(model: Any, laid: Laid) -> list[set[str]]:
    """Digests of the pixels that serving decodes of each split's files."""
    seen: list[str] = []
    plain = model.outputs

    def watched(images: Iterable[Array], *args: Any, **more: Any) -> Any:
        kept = list(images)
        seen.extend(map(digest_of_pixels, kept))
        return plain(kept, *args, **more)

    model.outputs = watched
    found = []
    for split in SPLITS:
        files = sorted((laid.raw / f"JPEGImages/{split}").iterdir())
        answers = predict_images(model, [file.read_bytes() for file in files])
        assert (answers["error"] == "").all() and len(answers) == len(seen) == 8
        found.append(set(seen))
        seen.clear()
    return found


def test_orientations__leave_boxes_and_masks_on_the_object(laid: Laid) -> None:
    ground = laid.ground
    for row, truth in zip(ground.rows.itertuples(), ground.truths(ground.rows), strict=True):
        pixels = ground.pixels.read(row.sha256).astype(int)
        red = pixels[:, :, 0] - pixels[:, :, 1] > 115
        if ground.task.name == "detection":
            height, width = red.shape
            box = truth["boxes_xyxy"][0] * np.array([width, height, width, height])
            x0, y0, x1, y1 = np.round(box).astype(int)
            said = np.zeros(red.shape, bool)
            said[y0:y1, x0:x1] = True
        else:
            mask = open_masks(ground.pixels.array_store.folder).read(
                json.loads(row.truth)["mask_sha256"]
            )
            said = np.asarray(
                Image.fromarray(mask).resize(red.shape[::-1], Image.Resampling.NEAREST)
            ) == ground.classes.names.index("object")
        overlap = (said & red).sum() / (said | red).sum()
        assert overlap > 0.9, f"{row.id}: {overlap:.2f}"
