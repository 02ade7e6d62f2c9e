"""What each station costs on this machine; measured, compared with nothing.

Works on a rendered sample in a folder of its own, so that nothing of it is warm.

    python -m bench stations
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import Measure, Say, row
from bench.fine_tuning import ground_of
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import split_manifest
from graft.vision.data.street_scenes import StreetScenesOptions, render_folder
from graft.vision.features.engines import available_engines
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.training.options import FineTuningOptions

SIGNS = IngestionOptions(source=SourceOptions(folder="signs", group_pattern=r"/(d\d+)_s\d+_\d+"))


class Stations:
    """Does work once, and notes what it took."""

    def __init__(self, say: Say) -> None:
        self.found: dict[str, Measure] = {}
        self._say = say

    def __call__(self, name: str, what: str, images: int, work: Callable[[], Any]) -> Any:
        """Note the work under this name; returns what it gave."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        ours = 1e3 * cpu / images
        self.found[name] = row(ours, None, "CPU ms/image", what)
        self._say(f"{what:44s}{images:7d} images{wall:9.2f} s{cpu:9.2f} CPU s{ours:10.2f} ms each")
        return result


def measure(say: Say) -> dict[str, Measure]:
    """Each station by name."""
    stations = Stations(say)
    with tempfile.TemporaryDirectory(prefix="graft-stations-") as name:
        folder = Path(name)
        rows, pixels = _ingest(stations, folder)
        backbone = BackboneOptions(name="efficientnet_lite0", image_size_px=224, fit="squash")
        _learn(stations, folder, ground_of(folder, rows, SIGNS, backbone), pixels)
    return stations.found


def _ingest(stations: Stations, folder: Path) -> tuple[Any, PixelStore]:
    """Render, ingest cold and warm, find near copies, split."""
    options, raw = StreetScenesOptions(), folder / "raw"
    stations("render", "render the sample (scenes)", 224, lambda: render_folder(raw, options))
    pixels = PixelStore(folder / "pixels", SIGNS.decoding)
    found = build_manifest(raw, pixels, SIGNS)
    count = len(found.manifest)
    fresh = PixelStore(folder / "fresh", SIGNS.decoding)
    stations("ingest", "ingest, cold", count, lambda: build_manifest(raw, fresh, SIGNS))
    again = "ingest, nothing new"
    stations("ingest_again", again, count, lambda: build_manifest(raw, pixels, SIGNS))
    prints = open_fingerprints(folder / "prints", SIGNS.decoding)

    def copies() -> Any:
        return find_near_copies(found.manifest, pixels, prints, SIGNS.near_copies).pairs

    pairs = stations("near_copies", "find near copies, cold", count, copies)
    stations("near_copies_again", "find near copies, nothing new", count, copies)
    rows = split_manifest(found.manifest, pairs, SIGNS.split).split_manifest
    return rows, pixels


def _learn(stations: Stations, folder: Path, ground: Ground, pixels: PixelStore) -> None:
    """Augmentation, features by each engine, the probe, one epoch of training."""
    rows = ground.rows
    augmenter = Augmenter(ground.policy, ground.task, 0)

    def augment() -> None:
        for name, sha256 in zip(rows["id"], rows["sha256"], strict=True):
            augmenter(pixels.read(sha256), {}, 0, name)

    stations("augment", "augment at 224 px, one thread", len(rows), augment)
    table = None
    for engine in available_engines():
        if engine == "compiled":
            continue
        extraction = FeatureExtractionOptions(engine=engine)

        def extract(extraction: FeatureExtractionOptions = extraction) -> Any:
            return extract_frozen_features(ground, folder / "features", extraction)

        table = stations(
            f"features_{engine}", f"features at 224 px, {engine}, cold", len(rows), extract
        )
        stations(
            f"features_{engine}_again",
            f"features at 224 px, {engine}, nothing new",
            len(rows),
            extract,
        )
    train = int((rows["split"] == "train").sum())
    stations(
        "probe",
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

        stations(f"epoch_{strategy}", f"one epoch at 224 px, {strategy}", train, train_once)
