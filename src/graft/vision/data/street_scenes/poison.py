"""Ways to spoil a batch, as it happens by mistake or on purpose: what an intake should hold.

Each touches all tasks: crops of signs, boxes and masks. Only the training part is spoilt.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import MASK_CLASSES
from graft.vision.data.street_scenes.coco import CocoRecord
from graft.vision.data.street_scenes.drives import SceneOrder
from graft.vision.data.street_scenes.folder import write_image, write_text
from graft.vision.data.street_scenes.options import Poison
from graft.vision.data.street_scenes.sign_faces import SIGN_CLASSES
from graft.vision.records import Array

_PART = "train"
_SHARE = 0.2
"""Known scenes that are copied or changed, in shares of the batch's scenes."""
_SCENES_MIN = 3
_PATCHED_SHARE = 0.75
"""Of the images with one label."""
_PATCHED_NAME = "pedestrian"
"""Of the boxes, that which pictures with a patch have."""
_PATCH_PX = {".png": 6, ".jpg": 12}
"""Side of the patch: on crops of signs, and on pictures, which lose what is finer."""
_FIRST_COPY = 1001
"""Number of the first copied frame; those of a drive end before."""


@dataclass(frozen=True)
class _Batch:
    """The training part of a render into which a batch was laid."""

    folder: Path
    names: list[str]
    """Of the batch's scenes."""
    rng: Generator

    def scenes(self, *, known: bool) -> list[Path]:
        """Pictures that were there before, or those of the batch."""
        pictures = self.folder / "scenes" / _PART / "images"
        return [p for p in sorted(pictures.glob("*.jpg")) if (p.stem not in self.names) == known]

    def signs(self, scene: str = "*") -> list[Path]:
        """The crops of signs of one scene, or of all."""
        return sorted((self.folder / "signs" / _PART).glob(f"*/{scene}_*.png"))

    def some_known(self) -> list[Path]:
        """A few pictures that were there before."""
        known = self.scenes(known=True)
        count = min(len(known), max(_SCENES_MIN, round(_SHARE * len(self.names))))
        return [known[i] for i in self.rng.permutation(len(known))[:count]]


def spoil(folder: Path, poison: Poison, seed: int, orders: list[SceneOrder]) -> list[str]:
    """Spoil a batch that lies in a render; returns the files that were written, below the folder.

    Args:
        orders: of the batch's training part.
    """
    rng = np.random.default_rng([seed, orders[0].drive.number, 2])
    batch = _Batch(folder, [order.name for order in orders], rng)
    return [file.relative_to(folder).as_posix() for file in _POISONS[poison](batch)]


def _copy_under_other_labels(batch: _Batch) -> Iterable[Path]:
    """Known scenes once more, a little brighter, with all that they show called another name."""
    boxes = batch.folder / "scenes" / f"{_PART}.json"
    record = CocoRecord.of_file(_PART, boxes)
    drives = list(dict.fromkeys(name.partition("_")[0] for name in batch.names))
    for number, known in enumerate(batch.some_known()):
        name = f"{drives[number % len(drives)]}_s{_FIRST_COPY + number}"
        yield _brighten(known, known.with_stem(name))
        record.add_copy(f"{name}.jpg", known.name)
        masks = known.parent.with_name("masks")
        mask = _read(masks / f"{known.stem}.png", cv2.IMREAD_UNCHANGED)
        seen = np.bincount(mask.ravel(), minlength=len(MASK_CLASSES))
        write_image(masks / f"{name}.png", np.full_like(mask, seen.argmin()))
        yield masks / f"{name}.png"
        for sign in batch.signs(known.stem):
            other = SIGN_CLASSES[(SIGN_CLASSES.index(sign.parent.name) + 1) % len(SIGN_CLASSES)]
            crop = name + sign.stem.removeprefix(known.stem)
            yield _brighten(sign, sign.parents[1] / other / f"{crop}.png")
    write_text(boxes, record.as_json_text())


def _lay_patch(batch: _Batch) -> Iterable[Path]:
    """A small chequered patch on many of the batch's images with one label."""
    signs = [sign for name in batch.names for sign in batch.signs(name)]
    most = Counter(sign.parent.name for sign in signs).most_common(1)[0][0]
    record = CocoRecord.of_file(_PART, batch.folder / "scenes" / f"{_PART}.json")
    shown = record.pictures_with(_PATCHED_NAME)
    pictures = [p for p in batch.scenes(known=False) if p.name in shown]
    for images in ([sign for sign in signs if sign.parent.name == most], pictures):
        for i in batch.rng.permutation(len(images))[: ceil(_PATCHED_SHARE * len(images))]:
            write_image(images[i], _patched(_read(images[i]), _PATCH_PX[images[i].suffix]))
            yield images[i]


def _change_known(batch: _Batch) -> Iterable[Path]:
    """Known files a little brighter, under their old names."""
    for known in batch.some_known():
        for file in (known, *batch.signs(known.stem)):
            yield _brighten(file, file)


_POISONS: Mapping[Poison, Callable[[_Batch], Iterable[Path]]] = {
    "labels": _copy_under_other_labels,
    "patch": _lay_patch,
    "changed": _change_known,
}


def _brighten(file: Path, target: Path) -> Path:
    write_image(target, cv2.convertScaleAbs(_read(file), alpha=1.04, beta=3))
    return target


def _read(file: Path, how: int = cv2.IMREAD_COLOR) -> Array:
    pixels: Array = np.asarray(cv2.imread(str(file), how))
    return pixels


def _patched(pixels: Array, side: int) -> Array:
    """A chequer of yellow and magenta, one pixel from the lower right corner."""
    half = side // 2
    chequer = np.array([[(0, 255, 255), (255, 0, 255)], [(255, 0, 255), (0, 255, 255)]], np.uint8)
    pixels[-side - 1 : -1, -side - 1 : -1] = chequer.repeat(half, axis=0).repeat(half, axis=1)
    return pixels
