"""``make bench``: what each station costs on this machine; measured, never asserted.

Works on a rendered sample in a folder of its own, so that nothing of it is warm. Prints a table and
writes ``bench.json``: seconds of wall and of CPU, and images a second.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import class_table_of, split_manifest
from graft.vision.data.street_scenes import StreetScenesOptions, render_folder
from graft.vision.features.engines import available_engines
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.preprocessing import Preprocessing
from graft.vision.runtime import machine_record
from graft.vision.tasks import choose_task
from graft.vision.training.options import FineTuningOptions

ROWS: list[dict[str, Any]] = []
SIGNS = IngestionOptions(source=SourceOptions(folder="signs", group_pattern=r"/(d\d+)_s\d+_\d+"))


def measure(what: str, images: int, work: Callable[[], Any]) -> Any:
    """Do the work once, and note what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ROWS.append({"what": what, "images": images, "wall_s": wall, "cpu_s": cpu})
    print(f"{what:44s}{images:7d}{wall:9.2f}{cpu:9.2f}{images / wall:12.0f}", flush=True)
    return result


def ingest(folder: Path) -> tuple[Any, Any, PixelStore]:
    """Render, ingest cold and warm, find near copies, split."""
    options = StreetScenesOptions()
    measure("render the sample (scenes)", 224, lambda: render_folder(folder / "raw", options))
    pixels = PixelStore(folder / "pixels", SIGNS.decoding)
    found = build_manifest(folder / "raw", pixels, SIGNS)
    count = len(found.manifest)
    fresh = PixelStore(folder / "fresh", SIGNS.decoding)
    measure("ingest, cold", count, lambda: build_manifest(folder / "raw", fresh, SIGNS))
    measure("ingest, nothing new", count, lambda: build_manifest(folder / "raw", pixels, SIGNS))
    prints = open_fingerprints(folder / "prints", SIGNS.decoding)

    def copies() -> Any:
        return find_near_copies(found.manifest, pixels, prints, SIGNS.near_copies).pairs

    pairs = measure("find near copies, cold", count, copies)
    measure("find near copies, nothing new", count, copies)
    rows = split_manifest(found.manifest, pairs, SIGNS.split).split_manifest
    return rows, class_table_of(rows, exclusive=True), pixels


def lay(folder: Path, rows: Any, classes: Any, size_px: int) -> Ground:
    """The ground of the signs at one view size."""
    backbone = BackboneOptions(name="efficientnet_lite0", image_size_px=size_px, fit="squash")
    card = describe_backbone(backbone)
    view = Preprocessing.from_record(card["preprocessing"])
    task = {"name": "classification"}
    policy = compose_policy(PolicyOptions(preset="natural"), view, choose_task(task)[0])
    pixels = folder / "pixels"
    return lay_ground(task, classes, rows, pixels, SIGNS, backbone, card, policy, seed=0)


def learn(folder: Path, ground: Ground, pixels: PixelStore) -> None:
    """Augmentation, features by each engine, the probe, one epoch of training."""
    rows = ground.rows
    augmenter = Augmenter(ground.policy, ground.task, 0)

    def augment() -> None:
        for name, sha256 in zip(rows["id"], rows["sha256"], strict=True):
            augmenter(pixels.read(sha256), {}, 0, name)

    measure("augment at 224 px, one thread", len(rows), augment)
    table = None
    for engine in available_engines():
        if engine == "compiled":
            continue
        extraction = FeatureExtractionOptions(engine=engine)

        def extract(extraction: FeatureExtractionOptions = extraction) -> Any:
            return extract_frozen_features(ground, folder / "features", extraction)

        table = measure(f"features at 224 px, {engine}, cold", len(rows), extract)
        measure(f"features at 224 px, {engine}, nothing new", len(rows), extract)
    train = int((rows["split"] == "train").sum())
    measure(
        "fit the probe (5 folds, 9 strengths)",
        train,
        lambda: train_probe(
            ground, table, folder / "features", folder / "checkpoints", ProbingOptions()
        ),
    )
    for strategy in ("norm_and_bias", "full"):
        options = FineTuningOptions(strategy=strategy, epochs=1)  # type: ignore[arg-type]

        def train_once(options: FineTuningOptions = options) -> Any:
            model = ground.new_model()
            return run_training("bench", ground, model, folder / "checkpoints", options)

        measure(f"one epoch at 224 px, {strategy}", train, train_once)


def main() -> None:
    """Measure all, print, write."""
    print(f"{'what':44s}{'images':>7s}{'wall s':>9s}{'CPU s':>9s}{'images/s':>12s}")
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as name:
        folder = Path(name)
        rows, classes, pixels = ingest(folder)
        learn(folder, lay(folder, rows, classes, 224), pixels)
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json")
    target.write_text(json.dumps({"machine": machine_record(), "rows": ROWS}, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
