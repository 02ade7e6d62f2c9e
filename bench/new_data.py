"""What it costs when data comes, stays or grows: ingestion, 1 % of new images, DVC.

Draws its own small pictures in a temporary folder. Each size is taken in by a process of its own,
whose CPU seconds and peak memory count.

    python -m bench.new_data            1,000 and 10,000 images
    python -m bench.new_data 100000     this size too (some minutes)
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench import Measure, Say, row

SIDE_PX = 35
SIZES = (1_000, 10_000)
VIEW_PX, EXTRACTED, NEW = 224, 5_000, 50
TRIES = 3
"""Of something as short as a few images: the least counts."""
SMALL_FILES = 10_000


def measure(say: Say, sizes: tuple[int, ...] = SIZES) -> dict[str, Measure]:
    """All measures by name: ours, usual, ratio, unit, what."""
    with tempfile.TemporaryDirectory(prefix="graft-new-data-") as name:
        folder = Path(name)
        return {**_growth(folder, sizes, say), **_one_percent(folder, say), **_dvc(folder, say)}


def draw(folder: Path, count: int, side_px: int = SIDE_PX, first: int = 0) -> None:
    """Pictures of smooth noise in ten class folders, in the order of their names."""
    for number in range(first, first + count):
        file = folder / f"class_{number % 10}" / f"{number:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        size = (side_px, side_px)
        cv2.imwrite(str(file), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))


def _growth(folder: Path, sizes: tuple[int, ...], say: Say) -> dict[str, Measure]:
    told = {}
    for count in sizes:
        draw(folder / f"raw-{count}", count)
        told[count] = [_in_child(folder, count) for _ in range(2)]
        for run, said in zip(("first", "again"), told[count], strict=True):
            parts = ", ".join(f"{part} {said[part]:.2f}" for part in PARTS)
            say(f"{count:7d} images, {run}: CPU s: {parts}; {said['peak_mb']:.0f} MB at the most")
    small, large = sizes[0], sizes[-1]
    per_image = {n: 1e3 * sum(told[n][0][part] for part in PARTS) / n for n in sizes}
    again, once = (sum(told[large][run][part] for part in PARTS) for run in (1, 0))
    return {
        "ingestion_grows": row(
            per_image[large], per_image[small], "CPU ms an image",
            f"ingestion of {large} images, against {small}",
        ),
        "ingestion_memory": row(
            told[large][0]["peak_mb"], 2048.0, "MB", f"peak of {large} images, against 2 GiB"
        ),
        "unchanged": row(again, once, "CPU s", f"{large} unchanged images, against new ones"),
    }  # fmt: skip


PARTS = ("manifest", "near_copies", "split")


def _in_child(folder: Path, count: int) -> dict[str, float]:
    """Take in the pictures in a process of its own; what its parts and its memory came to."""
    code = "from bench.new_data import ingest; import sys; ingest(sys.argv[1], int(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(count)],
        cwd=Path(__file__).parent.parent,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def ingest(folder: str, count: int) -> None:
    """The body of the child: manifest, near copies, split, each as a run does it."""
    from graft.vision.data.manifest import build_manifest
    from graft.vision.data.near_copies import find_near_copies, open_fingerprints
    from graft.vision.data.options import IngestionOptions
    from graft.vision.data.pixels import PixelStore
    from graft.vision.data.splits import split_manifest

    options, root = IngestionOptions(), Path(folder) / f"store-{count}"
    pixels = PixelStore(root / "pixels", options.decoding)
    prints = open_fingerprints(root / "fingerprints", options.decoding)
    told: dict[str, float] = {}
    raw = Path(folder) / f"raw-{count}"
    found = _timed(told, "manifest", lambda: build_manifest(raw, pixels, options)).manifest
    pairs = _timed(
        told, "near_copies", lambda: find_near_copies(found, pixels, prints, options.near_copies)
    ).pairs
    _timed(told, "split", lambda: split_manifest(found, pairs, options.split))
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(told))


def _timed(told: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = work()
    told[name] = time.process_time() - start
    return result


def _one_percent(folder: Path, say: Say) -> dict[str, Measure]:
    """Frozen features of all images, and then of 1 % of new ones beside them."""
    from torch.nn import Identity

    from graft.vision.backbones.options import BackboneOptions
    from graft.vision.backbones.weights import describe_backbone, load_backbone
    from graft.vision.data.manifest import build_manifest
    from graft.vision.data.options import IngestionOptions
    from graft.vision.data.pixels import PixelStore
    from graft.vision.features.extraction import extract_features
    from graft.vision.features.options import FeatureExtractionOptions
    from graft.vision.model import GraftedModel
    from graft.vision.preprocessing import Preprocessing

    options, raw = IngestionOptions(), folder / "raw-views"
    pixels = PixelStore(folder / "views/pixels", options.decoding)
    asked = BackboneOptions(name="efficientnet_lite0", image_size_px=VIEW_PX, fit="squash")
    view = Preprocessing.from_record(describe_backbone(asked)["preprocessing"])

    def extract(store: str) -> float:
        rows = build_manifest(raw, pixels, options).manifest.assign(split="train")
        start = time.process_time()
        model = GraftedModel(load_backbone(asked), Identity()).eval()
        at = folder / "views" / store
        extract_features(rows, pixels, model, view, at, FeatureExtractionOptions())
        return time.process_time() - start

    draw(raw, EXTRACTED, VIEW_PX)
    extract("once")  # so that what is loaded once a process does not count against either
    whole = extract("whole")
    none = extract("whole")
    draw(raw, 1, VIEW_PX, first=EXTRACTED)
    start = extract("whole")  # one image: what it takes to build the engine
    tries = []
    for turn in range(TRIES):
        draw(raw, NEW, VIEW_PX, first=EXTRACTED + 1 + turn * NEW)
        tries.append(extract("whole"))
    new = min(tries)
    what = f"features of {EXTRACTED} images"
    say(f"{what}: CPU s: all {whole:.2f}, 1 % new {new:.2f}, one new {start:.2f}, none {none:.2f}")
    alone = max(new - start, 1e-3)
    return {
        "one_percent": row(new, whole, "CPU s", "features of 1 % new images, against all"),
        "one_percent_computed": row(
            alone, whole - start, "CPU s", "the same without building the engine"
        ),
    }


def _dvc(folder: Path, say: Say) -> dict[str, Measure]:
    """Put many small files under DVC one by one, and as packed shards."""
    from graft.adapters.packing import pack

    def project(name: str) -> Path:
        place = folder / name
        place.mkdir()
        _dvc_says(place, "init", "--no-scm", "--quiet")
        return place

    loose, packed = project("loose"), project("packed")
    draw(loose / "raw", SMALL_FILES)
    alone = _children(lambda: _dvc_says(loose, "add", "--quiet", "raw"))
    start = time.process_time()
    pack(loose / "raw", packed / "raw.packed")
    packing = time.process_time() - start
    added = _children(lambda: _dvc_says(packed, "add", "--quiet", "raw.packed"))
    say(
        f"{SMALL_FILES} small files under DVC: CPU s: one by one {alone:.2f}, "
        f"packing {packing:.2f}, shards {added:.2f}"
    )
    what = f"`dvc add` of {SMALL_FILES} small files, packed (with packing), against one by one"
    return {"dvc_add": row(packing + added, alone, "CPU s", what)}


def _dvc_says(place: Path, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words]
    subprocess.run(command, cwd=place, check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})


def _children(work: Callable[[], None]) -> float:
    """CPU seconds of the processes that the work starts."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = spent()
    work()
    return spent() - start


if __name__ == "__main__":
    for name, one in measure(print, (*SIZES, *map(int, sys.argv[1:]))).items():
        figures = f"{one['ours']:12.2f}{one['usual']:12.2f}{one['ratio']:9.2f}"
        print(f"{name:20s}{figures}  {one['unit']}: {one['what']}")
