"""Takes one folder of images over every road on which an image enters, in a process of its own.

Run as ``python tests/faults/image_roads.py FOLDER WORK DICOM``; DICOM files lie in a folder of
their own, which may be empty. Writes ``WORK/outcomes.json``: by road what became of each file,
``usable`` with the digest of its pixels or ``refused`` with the reason; by how much the peak of
memory in use on it lay over what the process held at its start; and how much the process holds at
the end over what it held when it had taken sound pictures along each road.
"""

import ctypes
import faulthandler
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_seeds import dicom_of
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEGBaseline8Bit

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import lay_ground
from graft.vision.data.decoding import decode
from graft.vision.data.manifest import build_manifest
from graft.vision.data.mask_files import MaskRule
from graft.vision.data.mask_pass import read_masks
from graft.vision.data.masks import open_masks
from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import UnusableImageError
from graft.vision.model import TrainedModel
from graft.vision.monitoring.unlabelled import read_unlabelled
from graft.vision.records import SPLIT_COLUMNS, new_table
from graft.vision.serving import predict_images
from image_bombs import file_of, picture

LIMIT_S = 150.0
"""Longest that a whole road may take, on a busy machine."""
RULE = DecodingOptions()
OTHER_RULE = DecodingOptions(frames="first", wide="refuse", channels=1)
INGESTION = IngestionOptions(decoding=RULE, quarantine_share_max=1.0)
_VALUES = {value: value for value in range(255)}
MASK_RULES = {
    "values": MaskRule("classes", tuple(map(str, range(255))), _VALUES),
    "colours": MaskRule("classes", ("a", "b"), {}, {(0, 0, 0): 0, (255, 255, 255): 1}),
    "pages": MaskRule("classes", ("a", "b"), {0: 0, 1: 1}, pages="classes"),
    "instances": MaskRule("instances", ("a",), truth="boxes"),
    "polygons": MaskRule("polygons", ("a",)),
}
Outcomes = dict[str, dict[str, str]]


def digest_of_pixels(pixels: np.ndarray) -> str:
    """Of an array's values and shape."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def usable(pixels: np.ndarray) -> dict[str, str]:
    """The outcome of an image with these pixels."""
    return {"usable": digest_of_pixels(pixels)}


def refused(reason: object) -> dict[str, str]:
    """The outcome of an image that cannot be used."""
    return {"refused": str(reason).rstrip(".")}


class Roads:
    """The roads for one folder of images.

    Args:
        folder: of class folders with images.
        work: where stores lie.
        model: that is served.
    """

    def __init__(self, folder: Path, work: Path, model: TrainedModel) -> None:
        self.folder, self.work, self.model = folder, work, model
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): path for path in found}
        self.pixels = PixelStore(work / "pixels", RULE)

    def all(self) -> dict[str, Callable[[], Outcomes]]:
        """Each road by its name."""
        masks = {
            f"masks by {name}": lambda rule=rule: self.masks(rule)
            for name, rule in MASK_RULES.items()
        }
        return {
            "decoding": lambda: self.decoding(RULE),
            "decoding by another rule": lambda: self.decoding(OTHER_RULE),
            "ingestion": self.ingestion,
            "monitoring": self.monitoring,
            "serving bytes": lambda: self.serving(path.read_bytes() for path in self._paths()),
            "serving paths": lambda: self.serving(self._paths()),
            **masks,
            "within DICOM": self.within_dicom,
        }

    def _paths(self) -> list[Path]:
        return list(self.files.values())

    def decoding(self, options: DecodingOptions) -> Outcomes:
        return {name: _decoded(path.read_bytes(), options) for name, path in self.files.items()}

    def ingestion(self) -> Outcomes:
        ingested = build_manifest(self.folder, self.pixels, INGESTION)
        rows = ingested.manifest
        kept = {
            name: usable(self.pixels.read(sha256))
            for name, sha256 in zip(rows["id"], rows["sha256"], strict=True)
        }
        self.pixels.array_store.release()  # what is mapped counts as memory in use
        return kept | _refusals(ingested.quarantine)

    def monitoring(self) -> Outcomes:
        """Into a store of its own, so that nothing is known yet."""
        store = PixelStore(self.work / "served_pixels", RULE)
        prints = open_fingerprints(self.work / "fingerprints", RULE)
        rows, quarantine = read_unlabelled(self.folder, store, prints, INGESTION)
        kept = {
            name: usable(store.read(sha256))
            for name, sha256 in zip(rows["id"], rows["sha256"], strict=True)
        }
        store.array_store.release()  # what is mapped counts as memory in use
        return kept | _refusals(quarantine)

    def serving(self, images: Iterable[bytes | Path]) -> Outcomes:
        seen: list[np.ndarray | str] = []
        plain = self.model.outputs

        def watched(given: Iterable[np.ndarray], *args: Any, **more: Any) -> Any:
            return plain(_watch(given, seen), *args, **more)

        self.model.outputs = watched  # type: ignore[method-assign]
        try:
            table = predict_images(self.model, images)
        finally:
            self.model.outputs = plain  # type: ignore[method-assign]
        digests = iter(seen)
        return {
            name: refused(error) if error else {"usable": str(next(digests))}
            for name, error in zip(self.files, table["error"], strict=True)
        }

    def masks(self, rule: MaskRule) -> Outcomes:
        store = open_masks(self.work / "pixels")
        limit = RULE.max_pixels
        found = read_masks(self.folder, list(self.files), rule, store, limit, INGESTION.workers)
        return {
            name: refused(facts.reason) if facts.reason else {"usable": facts.sha256}
            for name, facts in found.items()
        }

    def within_dicom(self) -> Outcomes:
        """Each file as the compressed pixels of a DICOM file that states a small picture."""
        small = np.zeros((8, 8), np.uint8)
        found = {}
        for name, path in self.files.items():
            syntax = JPEG2000 if path.suffix in (".jp2", ".j2k") else JPEGBaseline8Bit
            pixels = encapsulate([path.read_bytes() or b"\0\0"])
            found[name] = _decoded(dicom_of(small, syntax, PixelData=pixels), RULE)
        return found


def _watch(images: Iterable[np.ndarray], seen: list[Any]) -> Iterator[np.ndarray]:
    for pixels in images:
        seen.append(digest_of_pixels(pixels))
        yield pixels


def _decoded(data: bytes, options: DecodingOptions) -> dict[str, str]:
    try:
        return usable(decode(data, options).pixels)
    except UnusableImageError as reason:
        return refused(reason)


def _refusals(quarantine: Any) -> Outcomes:
    return {row.file: refused(row.reason) for row in quarantine.itertuples()}


def new_model(work: Path) -> TrainedModel:
    """A model as training leaves it, but for the training."""
    backbone = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=32)
    ground = lay_ground(
        {"name": "classification"},
        {"names": ("ant", "bee"), "exclusive": True},
        new_table([], SPLIT_COLUMNS),
        work / "pixels",
        INGESTION,
        backbone,
        describe_backbone(backbone),
        {},
        seed=0,
    )
    return ground.finish("fine_tuned", ground.new_model(), "full", 1.0, {})


def _lay_sound(folder: Path) -> Path:
    for name, form in (("a.png", "PNG"), ("b.jpg", "JPEG"), ("c.tif", "TIFF")):
        (folder / "ant").mkdir(parents=True, exist_ok=True)
        (folder / "ant" / name).write_bytes(file_of(picture(240, 320), form))
    shutil.copytree(folder / "ant", folder / "bee")
    (folder / "bee/d.dcm").write_bytes(dicom_of(picture()[:, :, 0]))
    return folder


def _memory_mb(name: str) -> float:
    """``VmRSS``, what is in use now, or ``VmHWM``, the most that was since it was forgotten."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def _held_mb() -> float:
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is no image's
    return _memory_mb("VmRSS")


def main(folder: Path, work: Path, dicom: Path) -> None:
    """All roads in turn."""
    faulthandler.enable()
    model = new_model(work / "warm")
    for road in Roads(_lay_sound(work / "sound"), work / "warm", model).all().values():
        road()
    base, outcomes, grown = _held_mb(), {}, {}
    roads = Roads(folder, work, model).all()
    roads["real DICOM"] = lambda: Roads(dicom, work, model).decoding(RULE)
    for name, road in roads.items():
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        held = _held_mb()
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        outcomes[name] = road()
        grown[name] = round(_memory_mb("VmHWM") - held, 1)
        faulthandler.cancel_dump_traceback_later()
    kept = round(_held_mb() - base, 1)
    found = {"base_mb": round(base), "grown_mb": grown, "kept_mb": kept, "outcomes": outcomes}
    (work / "outcomes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
