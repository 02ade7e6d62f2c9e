"""The pairs of a manifest that show the same picture."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from graft.vision.data.near_copies import cells
from graft.vision.data.near_copies.candidates import find_candidates
from graft.vision.data.near_copies.clusters import connect
from graft.vision.data.near_copies.confirmation import confirm
from graft.vision.data.near_copies.thumbnails import ORIENTATIONS, SIDE, thumbnail, undoing
from graft.vision.data.options import DecodingOptions, NearCopyOptions
from graft.vision.data.pixels import PixelReader, PixelStore
from graft.vision.records import Array, digest_of
from graft.vision.store import ArrayStore

RULE = "near-copies-5"
"""Raised whenever another answer is given to the same question."""
WHOLE = 0.985
"""Share of a side from which a picture counts as uncut: a pixel of the thumbnail may be missing."""
PAIR_COLUMNS = ["id_a", "id_b", "kind", "score", "how"]
_MAPPED = 4096
"""Images whose pages of the stores are held at once: they count as memory in use."""
_Pair = tuple[str, str, str, float, str]


@dataclass
class NearCopies:
    """``pairs``: id_a, id_b, kind (exact or near), score (0..1), how."""

    pairs: pd.DataFrame


def open_fingerprints(folder: Path, decoding: DecodingOptions) -> ArrayStore:
    """The store in which thumbnails are kept, by the digest of their file and its decoding."""
    rule = {"near_copies": RULE, "decoding": decoding.model_dump(mode="json")}
    return ArrayStore(folder, f"{RULE}-{decoding.digest[:16]}", rule)


def find_near_copies(
    manifest: pd.DataFrame, pixels: PixelReader, cache: ArrayStore, options: NearCopyOptions
) -> NearCopies:
    """Find the pairs of images that show the same picture.

    Thumbnails are computed for new content only, and the answer to an unchanged question is kept.
    Time grows as `find_candidates` says.
    """
    question = question_of(manifest, options)
    if cache.missing([question]):
        pairs = list(_exact_pairs(manifest))
        if options.enabled:
            pairs += _near_pairs(manifest, pixels, cache, options)
        with cache.writer() as writer:
            writer.add(question, np.frombuffer(json.dumps(pairs).encode(), np.uint8))
    answer = json.loads(cache.read(question).tobytes())
    return NearCopies(pd.DataFrame(answer, columns=PAIR_COLUMNS))


def question_of(manifest: pd.DataFrame, options: NearCopyOptions) -> str:
    """The key under which the answer of `find_near_copies` is kept."""
    asked = manifest[["id", "sha256", "width", "height", "group"]]
    question = [options.model_dump(), asked.astype(str).to_numpy().tolist()]
    # Among very many, copies are looked for in another way.
    among_many = [cells.RULE] if manifest["sha256"].nunique() >= cells.IMAGES_MIN else []
    return digest_of(question + among_many)


def _exact_pairs(manifest: pd.DataFrame) -> Iterator[_Pair]:
    for _, rows in manifest[manifest["sha256"].duplicated(keep=False)].groupby("sha256"):
        first, *others = sorted(rows["id"])
        for other in others:
            yield first, other, "exact", 1.0, "same bytes"


def _near_pairs(
    manifest: pd.DataFrame, pixels: PixelReader, cache: ArrayStore, options: NearCopyOptions
) -> list[_Pair]:
    images = manifest.drop_duplicates("sha256").reset_index(drop=True)
    thumbs = _thumbnails(list(images["sha256"]), pixels, cache)
    sides = images[["width", "height"]].min(axis=1).to_numpy()
    # An image without a group is a group of its own.
    groups = [group or f"\0{place}" for place, group in enumerate(images["group"])]
    best: dict[tuple[int, int], tuple[float, str]] = {}
    for first, second, turn, score, share in _copies(thumbs, sides, groups, options):
        pair = min(first, second), max(first, second)
        how = _how(turn if first < second else undoing(turn), share)
        best[pair] = max(best.get(pair, (0.0, "")), (round(score, 4), how))
    ids = images["id"]
    return [(ids[a], ids[b], "near", *best[a, b]) for a, b in sorted(best)]


def _copies(
    thumbs: Array, sides: Array, groups: list[str], options: NearCopyOptions
) -> Iterator[tuple[int, int, int, float, float]]:
    """First, second, turn, score and share of each confirmed candidate.

    Where all candidates of an image are copies, there may be more behind them, so the search is
    repeated with what hangs together as one group.
    """
    crowded = True
    while crowded:
        candidates = find_candidates(thumbs, np.array(groups, object), options)
        copies = confirm(thumbs, sides, candidates, options)
        yield from copies.itertuples(index=False)
        ends = copies[["first", "second"]].to_numpy(int)
        crowded = np.bincount(ends.ravel(), minlength=1).max() >= options.neighbours
        joined = connect(sorted(set(groups)), ((groups[a], groups[b]) for a, b in ends))
        groups = [joined[group] for group in groups]


def _how(turn: int, share: float) -> str:
    cut = f"crop {share:.2f}" if share < WHOLE else ""
    return " ".join(filter(None, [ORIENTATIONS[turn], cut])) or "same picture"


def _thumbnails(digests: list[str], pixels: PixelReader, cache: ArrayStore) -> Array:
    """(N, SIDE, SIDE) uint8, one per digest; made where the cache lacks it."""
    missing = cache.missing(digests)
    if missing:
        with cache.writer() as writer:
            for place, sha256 in enumerate(
                tqdm(missing, desc="fingerprints", mininterval=2, leave=False, disable=None)
            ):
                writer.add(sha256, thumbnail(pixels.read(sha256)))
                if place % _MAPPED == 0 and isinstance(pixels, PixelStore):
                    pixels.array_store.release()
    thumbs = np.empty((len(digests), SIDE, SIDE), np.uint8)
    for place, sha256 in enumerate(digests):
        thumbs[place] = cache.read(sha256)
        if place % _MAPPED == 0:
            cache.release()
    return thumbs
