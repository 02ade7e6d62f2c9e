"""All mask files of a case: every byte hashed each time, only new content decoded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from graft.vision.ahead import each_made_ahead
from graft.vision.data.boxes import Corners
from graft.vision.data.file_bytes import read_within
from graft.vision.data.mask_files import MaskRule, names_present, read_instances, read_mask
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array, digest_of
from graft.vision.store import ArrayStore


@dataclass(frozen=True)
class MaskFacts:
    """What is known of one mask file.

    ``sha256`` is its key in the store: of its bytes and the rule. ``reason`` says why it cannot be
    used; ``boxes_xyxy`` are those around its instances, where they were asked for.
    """

    sha256: str
    width: int = 0
    height: int = 0
    classes: tuple[str, ...] = ()
    boxes_xyxy: tuple[Corners, ...] | None = None
    reason: str = ""


@dataclass
class _Read:
    key: str
    array: Array | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def read_masks(
    root: Path,
    paths: Sequence[str],
    rule: MaskRule,
    store: ArrayStore,
    max_pixels: int,
    workers: int,
) -> dict[str, MaskFacts]:
    """Hash every mask file below the root, decode those that the store lacks.

    Files stream through a small window, so memory does not grow with the data.
    """
    paths = list(dict.fromkeys(paths))
    rule_digest = digest_of([rule.digest, max_pixels])
    facts: dict[str, MaskFacts] = {}

    def read_path(path: str) -> _Read:
        return _read_one(root / path, rule, rule_digest, store, max_pixels)

    with store.writer() as writer:
        stream = zip(paths, each_made_ahead(read_path, paths, workers), strict=True)
        for path, read in tqdm(
            stream, total=len(paths), desc="masks", mininterval=2, leave=False, disable=None
        ):
            meta = read.meta
            if read.array is not None:
                writer.add(read.key, read.array, meta)
            elif not meta:
                meta = store.meta(read.key)
            facts[path] = _facts_of(read.key, meta)
    return facts


def _read_one(
    path: Path, rule: MaskRule, rule_digest: str, store: ArrayStore, max_pixels: int
) -> _Read:
    try:
        data = read_within(path, max_pixels)
    except UnusableImageError as error:
        return _Read("", None, {"reason": f"the mask: {error}".rstrip(".")})
    digest = hashlib.sha256(data)
    digest.update(rule_digest.encode())
    key = digest.hexdigest()
    if store.holds(key):  # a mask that was damaged since is decoded again
        return _Read(key)
    try:
        return _decoded(key, data, rule, max_pixels)
    except UnusableImageError as error:
        # Kept too, so that a mask that cannot be used is not tried again.
        return _Read(key, np.zeros(0, np.uint8), {"reason": str(error).rstrip(".")})


def _decoded(key: str, data: bytes, rule: MaskRule, max_pixels: int) -> _Read:
    if rule.kind == "instances" and rule.truth == "boxes":
        boxes, width, height = read_instances(data, rule, max_pixels)
        meta = {"width": width, "height": height, "boxes_xyxy": boxes.tolist()}
        return _Read(key, np.zeros(0, np.uint8), meta)
    mask = read_mask(data, rule, max_pixels)
    height, width = mask.shape
    return _Read(
        key,
        mask,
        {"width": width, "height": height, "classes": names_present(mask, rule.names)},
    )


def _facts_of(key: str, meta: dict[str, Any]) -> MaskFacts:
    boxes = meta.get("boxes_xyxy")
    return MaskFacts(
        key,
        meta.get("width", 0),
        meta.get("height", 0),
        tuple(meta.get("classes", ())),
        None if boxes is None else tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes),
        meta.get("reason", ""),
    )
