"""Exact and near copies of images: re-encoded, resized, brightened, cropped, flipped, turned.

Small normalised pictures, compared in eight orientations and six windows, propose candidates;
finer ones confirm them. Perceptual hashes alone miss crops and merge look-alikes (radiographs,
signs), so a candidate is aligned by a search over scale and offset and must then agree both as a
whole and in its fine detail; images of few pixels have little detail and must agree more closely.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from graft.vision.data.options import DecodingOptions, NearCopyOptions
from graft.vision.data.pixels import PixelReader
from graft.vision.records import Array, digest_of
from graft.vision.store import ArrayStore

RULE = "near-copies-4"
SIDE = 64
"""Side of the grey thumbnail that confirms, in px."""
SKETCH_SIDE = 10
"""Side of the normalised picture that proposes candidates."""
SOFTENING_PX = 0.7
"""Blur before two thumbnails are aligned: else half a pixel off costs fine textures their match."""
NOISE = 3.0
"""Grey levels of detail that may be noise."""
HALVING_LOSS = 0.03
"""What a correlation may lose on thumbnails of half the size, where most candidates fall out."""
PAIR_COLUMNS = ["id_a", "id_b", "kind", "score", "how"]
_SCALES = (1.0, 0.985, 0.97, 0.955, 0.94, 0.92, 0.90, 0.88)
# Whole picture, its centre and its four corners, as left, top and side in shares of SIDE.
_WINDOWS = (
    (0.0, 0.0, 1.0),
    (0.05, 0.05, 0.9),
    (0.0, 0.0, 0.9),
    (0.1, 0.0, 0.9),
    (0.0, 0.1, 0.9),
    (0.1, 0.1, 0.9),
)


@dataclass
class NearCopies:
    """``pairs``: id_a, id_b, kind (exact or near), score (0..1), how."""

    pairs: pd.DataFrame


def open_fingerprints(folder: Path, decoding: DecodingOptions) -> ArrayStore:
    """The store in which thumbnails are kept, by the digest of their file and its decoding."""
    return ArrayStore(folder, f"{RULE}-{decoding.digest[:16]}")


def find_near_copies(
    manifest: pd.DataFrame, pixels: PixelReader, cache: ArrayStore, options: NearCopyOptions
) -> NearCopies:
    """Find the pairs of images that show the same picture.

    Thumbnails are computed for new content only, and the answer to an unchanged question is kept.
    Candidates come from matrix products, so time grows with the square of the images by a tiny
    factor.
    """
    asked = manifest[["id", "sha256", "width", "height", "group"]]
    question = digest_of([options.model_dump(), asked.astype(str).to_numpy().tolist()])
    if cache.missing([question]):
        pairs = list(_exact_pairs(manifest))
        if options.enabled:
            pairs += _near_pairs(manifest, pixels, cache, options)
        with cache.writer() as writer:
            writer.add(question, np.frombuffer(json.dumps(pairs).encode(), np.uint8))
    answer = json.loads(cache.read(question).tobytes())
    return NearCopies(pd.DataFrame(answer, columns=PAIR_COLUMNS))


def _near_pairs(
    manifest: pd.DataFrame, pixels: PixelReader, cache: ArrayStore, options: NearCopyOptions
) -> list[tuple[str, str, str, float, str]]:
    images = manifest.drop_duplicates("sha256").reset_index(drop=True)
    thumbs = _thumbnails(list(images["sha256"]), pixels, cache)
    sides = images[["width", "height"]].min(axis=1).to_numpy()
    candidates = _candidates(thumbs, images["group"].to_numpy(), options)

    def confirm(candidate: tuple[int, int, int]) -> tuple[float, str]:
        a, b, turn = candidate
        small = min(sides[a], sides[b]) < SIDE
        return _confirm(thumbs[a], thumbs[b], turn, options, small=small)

    near: dict[tuple[int, int], tuple[float, str]] = {}
    # OpenCV lets go of the interpreter, so threads share the work.
    with ThreadPoolExecutor() as pool:
        for (a, b, _), (score, how) in zip(candidates, pool.map(confirm, candidates), strict=True):
            if how and score > near.get((a, b), (0.0, ""))[0]:
                near[a, b] = score, how
    ids = images["id"]
    return [(ids[a], ids[b], "near", round(score, 4), how) for (a, b), (score, how) in near.items()]


def clusters_of(manifest: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, str]:
    """Each image's cluster: the least id among all that pairs connect it with."""
    return connect(list(manifest["id"]), zip(pairs["id_a"], pairs["id_b"], strict=True))


def connect(names: list[str], pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Union-find: each name's least connected name."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {name: root(name) for name in names}


def _exact_pairs(manifest: pd.DataFrame) -> Iterator[tuple[str, str, str, float, str]]:
    for _, rows in manifest[manifest["sha256"].duplicated(keep=False)].groupby("sha256"):
        first, *others = sorted(rows["id"])
        for other in others:
            yield first, other, "exact", 1.0, "same bytes"


def _thumbnails(digests: list[str], pixels: PixelReader, cache: ArrayStore) -> Array:
    missing = cache.missing(digests)
    if missing:
        with cache.writer() as writer:
            for sha256 in tqdm(
                missing, desc="fingerprints", mininterval=2, leave=False, disable=None
            ):
                writer.add(sha256, thumbnail(pixels.read(sha256)))
    return np.stack([cache.read(sha256) for sha256 in digests])


def thumbnail(pixels: Array) -> Array:
    """(SIDE, SIDE) uint8 grey thumbnail of the whole picture."""
    grey = (
        pixels[:, :, 0]
        if pixels.shape[2] == 1
        else cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY)
    )
    shrinks = min(grey.shape) > SIDE
    return cv2.resize(
        grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _turned(thumb: Array, turn: int) -> Array:
    """One of the eight orientations of a square; 0 is the plain one."""
    turned = np.rot90(thumb, turn % 4, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if turn >= 4 else turned)


ORIENTATIONS = (
    "",
    "rot90",
    "rot180",
    "rot270",
    "mirror",
    "rot90 mirror",
    "rot180 mirror",
    "rot270 mirror",
)


def _sketches(thumbs: Array, window: tuple[float, float, float]) -> Array:
    """(N, SKETCH_SIDE**2) float32 of unit length: correlation is a product of two."""
    left, top, side = (round(share * SIDE) for share in window)
    parts = thumbs[:, top : top + side, left : left + side]
    size = (SKETCH_SIDE, SKETCH_SIDE)
    small = np.stack([cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts])
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _candidates(
    thumbs: Array, groups: Array, options: NearCopyOptions
) -> list[tuple[int, int, int]]:
    """(a, b, turn): b, turned, may lie in a or the other way round; the nearest few of each.

    Images of one group are no candidates: they stay together anyway.
    """
    count = min(options.neighbours, len(thumbs) - 1)
    if count < 1:
        return []
    plain = _sketches(thumbs, _WINDOWS[0])
    numbers = _group_numbers(groups)
    found: set[tuple[int, int, int]] = set()
    for turn in range(len(ORIENTATIONS)):
        turned = _turned(thumbs, turn)
        for window in _WINDOWS:
            sketches = _sketches(turned, window)
            for start in range(0, len(plain), 1024):
                block = plain[start : start + 1024] @ sketches.T
                rows, columns = np.nonzero(block >= options.candidate_correlation)
                apart = numbers[rows + start] != numbers[columns]
                rows, columns = rows[apart], columns[apart]
                for place in _best_of_each(rows, block[rows, columns], count):
                    a, b = int(rows[place]) + start, int(columns[place])
                    found.add((a, b, turn) if a < b else (b, a, _inverse(turn)))
    return sorted(found)


def _group_numbers(groups: Array) -> Array:
    """A number per group; an image without one is a group of its own."""
    alone = np.array([f"\0{i}" for i in range(len(groups))], object)
    return pd.factorize(np.where(groups == "", alone, groups))[0]


def _best_of_each(rows: Array, scores: Array, count: int) -> Array:
    """Places of the ``count`` greatest scores of each row."""
    order = np.lexsort((-scores, rows))
    starts = np.searchsorted(rows[order], rows[order])
    return order[np.arange(len(order)) - starts < count]


def _inverse(turn: int) -> int:
    """The turn that undoes a turn; a mirrored one undoes itself."""
    return turn if turn >= 4 else -turn % 4


def _confirm(
    a: Array, b: Array, turn: int, options: NearCopyOptions, *, small: bool
) -> tuple[float, str]:
    """Score and orientation of a confirmed pair; an empty ``how`` for one that is not."""
    turned = _turned(b, turn)
    if min(a.std(), b.std()) < options.texture:
        same = np.abs(a.astype(int) - turned.astype(int)).max() <= 1
        return (1.0, "flat, same pixels") if same else (0.0, "")
    # Half of what is still missing to 1: few pixels must agree twice as closely.
    strict = 0.5 if small else 1.0
    missing = strict * (1 - options.correlation)
    if 1 - _align(_halved(a), _halved(turned)).correlation > missing + HALVING_LOSS:
        return 0.0, ""
    found = _align(a, turned)
    if 1 - found.correlation > missing:
        return 0.0, ""
    detail = _correlation(_local_detail(found.outer), _local_detail(found.inner))
    if 1 - detail > strict * (1 - options.detail):
        return 0.0, ""
    crop = "" if found.scale == 1 else f"crop {found.scale:.2f}"
    return found.correlation, " ".join(filter(None, [ORIENTATIONS[turn], crop])) or "same picture"


@dataclass
class _Alignment:
    """How one thumbnail lies inside the other, and the two parts that show the same."""

    correlation: float
    scale: float
    outer: Array
    inner: Array


def _align(a: Array, b: Array) -> _Alignment:
    """Search the scale and offset at which one thumbnail lies inside the other."""
    a, b = (cv2.GaussianBlur(thumb, (0, 0), SOFTENING_PX) for thumb in (a, b))
    best = _Alignment(-1.0, 1.0, a, b)
    for scale in _SCALES:
        size = round(len(a) * scale)
        for inner, outer in ((a, b), (b, a)) if size < len(a) else ((a, b),):
            part = cv2.resize(inner, (size, size), interpolation=cv2.INTER_AREA)
            scores = cv2.matchTemplate(outer, part, cv2.TM_CCOEFF_NORMED)
            _, correlation, _, (left, top) = cv2.minMaxLoc(scores)
            if correlation > best.correlation:
                window = outer[top : top + size, left : left + size]
                best = _Alignment(correlation, scale, window, part)
    return best


def _halved(thumb: Array) -> Array:
    return cv2.resize(thumb, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)


def _local_detail(thumb: Array) -> Array:
    """Fine detail in units of its local strength, so that a silhouette does not drown digits."""
    wide = thumb.astype(np.float32)
    detail = cv2.GaussianBlur(wide, (0, 0), 1.0) - cv2.GaussianBlur(wide, (0, 0), 4.0)
    return detail / (np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 5.0)) + NOISE)


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0
