"""What features cost from image files on a CPU, end to end: the usual way against this one.

The usual: torchvision's bicubic transforms in a DataLoader, timm in eager fp32. Ours: every byte
hashed, decoded, reduced and stored, then frozen features extracted and stored, all of it cold, the
building of the engine included. Both for EfficientNet-Lite0 at 224 px. Photographs of hymenoptera
where they are there (below `GRAFT_REAL_DATA` or data/01_raw), else rendered signs, and copies of
them up to `IMAGES`, each with a comment of its own, so that no store can tell that they are copies.

    python -m bench extraction
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench import PHOTOGRAPHS, Measure, Say, row
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone, load_backbone
from graft.vision.data.decoding import decode
from graft.vision.data.manifest import build_manifest
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.street_scenes import StreetScenesOptions, render_folder
from graft.vision.features.engines import choose_engine
from graft.vision.features.extraction import extract_features
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.model import GraftedModel
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array

IMAGES, APART, ROUNDS, FOLDS, REPEATS = 1399, 256, 2, 5, 4
INGESTION, EXTRACTION = IngestionOptions(), FeatureExtractionOptions()


@dataclass
class Costs:
    """CPU seconds, summed by what they were spent on, and over how many images."""

    seconds: dict[str, float] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)

    def of(self, what: str, images: int, work: Callable[[], Any]) -> Any:
        """Do the work and note what it took."""
        began = time.process_time()
        found = work()
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - began
        self.images[what] = self.images.get(what, 0) + images
        return found

    def ms(self, what: str) -> float:
        """CPU milliseconds per image."""
        return 1e3 * self.seconds[what] / self.images[what]


@dataclass
class Compared:
    """Both ways, over the same images, and what they gave.

    ``usual``: features of the files of ``order``, in parts; ``ours``: by the digest of the file.
    """

    costs: Costs
    model: GraftedModel
    view: Preprocessing
    order: list[Path]
    copies: list[Path]
    usual: list[Array]
    ours: dict[str, Array]


def measure(say: Say) -> dict[str, Measure]:
    """The whole road, its parts, and what the two ways' features are worth to a probe."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="graft-extraction-") as name:
        both = compare(Path(name), say)
        costs, order = both.costs, both.order
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in order]
        found = np.stack([both.ours[digest] for digest in digests])
        apart = [file.read_bytes() for file in both.copies[:APART]]
        cosine = _parts(costs, apart, both.model, both.view)
        _tell(costs, cosine, say)
        truths = [file.parent.name for file in order]
        worth = (_accuracy(found, truths), _accuracy(np.concatenate(both.usual), truths))
    return _rows(costs, cosine, worth)


def compare(folder: Path, say: Say) -> Compared:
    """Take both ways in turn, with the threads and cores that this process has."""
    files, copies = _lay(folder, say)
    backbone = BackboneOptions(name="efficientnet_lite0")
    view = Preprocessing.from_record(describe_backbone(backbone)["preprocessing"])
    model = GraftedModel(load_backbone(backbone), torch.nn.Identity()).eval()
    order = [file for turn in range(ROUNDS) for file in files[turn::ROUNDS]]
    both = Compared(Costs(), model, view, order, copies, [], {})
    raw, costs = folder / "raw", both.costs
    _usual_way(files[:4], model, view)  # what is built once counts against neither
    for turn in range(ROUNDS):
        part, at = files[turn::ROUNDS], folder / f"round-{turn}"
        both.usual.append(costs.of("usual", len(part), partial(_usual_way, part, model, view)))
        both.ours = costs.of("ours", len(copies), partial(_road, raw, at, model, view))
        say(f"{turn + 1}: usual {costs.ms('usual'):.1f}, ours {costs.ms('ours'):.2f} CPU ms")
    return both


def _lay(folder: Path, say: Say) -> tuple[list[Path], list[Path]]:
    """The distinct files, and all of them with their copies, below ``folder / raw / CLASS``."""
    source = PHOTOGRAPHS
    if not source.is_dir():
        source = folder / "rendered"
        render_folder(source, StreetScenesOptions())
        source = source / "signs"
    kinds = (".jpg", ".jpeg", ".png")
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in kinds)[:IMAGES]
    files, copies, sides = [], [], []
    for number in range(max(IMAGES, len(found))):
        path = found[number % len(found)]
        copy = folder / "raw" / path.parent.name / f"{number:05d}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(_with_comment(_as_jpeg(path), f"{number:05d}".encode()))
        copies.append(copy)
        if number < len(found):
            files.append(copy)
            sides.append(decode(copy.read_bytes(), INGESTION.decoding))
    width, height = (np.mean([getattr(s, a) for s in sides]) for a in ("width", "height"))
    say(f"{len(copies)} files of {len(files)} images of {source}, {width:.0f}x{height:.0f} px")
    return files, copies


def _as_jpeg(path: Path) -> bytes:
    if path.suffix.lower() != ".png":
        return path.read_bytes()
    shown = cv2.resize(cv2.imread(str(path)), (389, 345), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", shown)[1])


def _with_comment(jpeg: bytes, text: bytes) -> bytes:
    """Other bytes, the same pixels."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _road(raw: Path, at: Path, model: GraftedModel, view: Preprocessing) -> dict[str, Array]:
    """Features by the digest of the file."""
    pixels = PixelStore(at / "pixels", INGESTION.decoding)
    rows = build_manifest(raw, pixels, INGESTION).manifest.assign(split="train")
    found = extract_features(rows, pixels, model, view, at / "features", EXTRACTION)
    return dict(zip(found.table["sha256"], found.matrix(found.table), strict=True))


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, files: list[Path], view: Preprocessing) -> None:
        from torchvision import transforms

        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.Resize(
                    round(view.size_px / view.crop_share),
                    interpolation=transforms.InterpolationMode.BICUBIC,
                ),
                transforms.CenterCrop(view.size_px),
                transforms.ToTensor(),
                transforms.Normalize(view.mean, view.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> torch.Tensor:
        from PIL import Image

        with Image.open(self.files[number]) as image:
            found: torch.Tensor = self.transform(image.convert("RGB"))
        return found


def _usual_way(files: list[Path], model: GraftedModel, view: Preprocessing) -> Array:
    loader = torch.utils.data.DataLoader(_Files(files, view), batch_size=32)
    with torch.inference_mode():
        return np.concatenate([model.backbone(batch).numpy() for batch in loader])


def _parts(costs: Costs, files: list[bytes], model: GraftedModel, view: Preprocessing) -> float:
    """Each part alone; returns the mean cosine of our features to fp32 ones of the same views."""
    count, size = len(files), EXTRACTION.batch_size
    found = costs.of("decode", count, lambda: [decode(f, INGESTION.decoding) for f in files])
    views = costs.of("resize", count, lambda: [view_of(one.pixels, view) for one in found])
    exact = view.model_copy(update={"resize": "exact"})
    costs.of("resize_exact", count, lambda: [view_of(one.pixels, exact) for one in found])
    batches = [np.stack(views[start : start + size]) for start in range(0, count, size)]
    engine = choose_engine(model, view.size_px, size)
    engine.features(batches[0])
    ours = costs.of("forward", count, lambda: np.concatenate([engine.features(b) for b in batches]))
    full = choose_engine(model, view.size_px, size, precision="fp32")
    plain = np.concatenate([full.features(batch) for batch in batches])
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(plain, axis=1)
    return float(((ours * plain).sum(axis=1) / lengths).mean())


def _accuracy(features: Array, truths: list[str]) -> float:
    """Of a logistic regression, in percent: the mean over `FOLDS` folds, drawn `REPEATS` times, for
    one draw differs from another by more than what is asked."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    return 100 * float(cross_val_score(probe, features, truths, cv=folds).mean())


def _tell(costs: Costs, cosine: float, say: Say) -> None:
    whole = costs.ms("ours")
    parts = {what: costs.ms(what) for what in ("decode", "resize", "forward")}
    parts["hashes, stores, start"] = whole - sum(parts.values())
    for what, ms in parts.items():
        say(f"{what:24s}{ms:7.2f} CPU ms, {ms / whole:.0%} of {whole:.2f}")
    limit = max(("decode", "forward"), key=costs.ms)
    say(f"the tighter limit is {limit} alone: {costs.ms(limit) / whole:.0%} of the whole is it")
    say(f"backbone.resize: exact would take {costs.ms('resize_exact'):.2f} CPU ms")
    say(f"mean cosine to fp32 on the same views: {cosine:.5f}")


def _rows(costs: Costs, cosine: float, worth: tuple[float, float]) -> dict[str, Measure]:
    ours, usual = costs.ms("ours"), costs.ms("usual")
    unit = "CPU ms/image"
    return {
        "": row(ours, usual, unit, "features from files, end to end"),
        **{
            what: row(costs.ms(what), None, unit, "alone")
            for what in ("decode", "resize", "resize_exact", "forward")
        },
        "accuracy": row(
            *worth, "%", f"of a probe over {FOLDS} folds, {REPEATS} times", more_is_better=True
        ),
        "cosine": row(cosine, None, "mean cosine", "to fp32 on the same views"),
    }
