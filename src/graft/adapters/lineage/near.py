"""Near copies of one image among the recorded ones, by the thumbnails that ingestion keeps."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graft.adapters.layers import FINGERPRINTS
from graft.vision.data.decoding import decode
from graft.vision.data.near_copies import open_fingerprints, thumbnail
from graft.vision.data.near_copies.candidates import find_candidates
from graft.vision.data.near_copies.confirmation import confirm
from graft.vision.data.near_copies.finding import WHOLE
from graft.vision.data.near_copies.thumbnails import ORIENTATIONS
from graft.vision.data.options import DecodingOptions, NearCopyOptions
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

PART = 255
"""Images that are compared at once."""
Found = dict[str, tuple[float, str]]
"""Score and how it lies, by SHA-256."""


@dataclass(frozen=True)
class Thumbnails:
    """The project's thumbnails, by the digest of the file that they show."""

    project: Path

    def near(self, sha256: str | None, file: Path | None, known: Any) -> tuple[Found, list[str]]:
        """Recorded images that show the same picture as a file, or as a digest that was ingested.

        Returns them by SHA-256, and what could not be compared.
        """
        if not len(known):
            return {}, []
        found: Found = {}
        notes: list[str] = []
        rules = known["decoding"].map(lambda rule: json.dumps(rule, sort_keys=True))
        for rule, rows in known.assign(rule=rules).groupby("rule"):
            decoding = DecodingOptions.from_record(json.loads(str(rule)))
            images = rows.drop_duplicates("sha256")
            found |= self._near(sha256, file, images, decoding, notes)
        return found, sorted(set(notes))

    def _near(
        self,
        sha256: str | None,
        file: Path | None,
        images: Any,
        decoding: DecodingOptions,
        notes: list[str],
    ) -> Found:
        store = open_fingerprints(self.project / FINGERPRINTS, decoding)
        own = _own_thumbnail(sha256, file, decoding, store, images)
        if own is None:
            notes.append("near copies: the image itself is not at hand; give its file")
            return {}
        others = images[images["sha256"] != sha256]
        there = others[[sha in store for sha in others["sha256"]]]
        if len(there) < len(others):
            lost = len(others) - len(there)
            notes.append(f"near copies: {lost} recorded images are not at hand and not compared")
        thumbs = [store.read(sha) for sha in there["sha256"]]
        return dict(_copies(own, thumbs, there))


def _own_thumbnail(
    sha256: str | None, file: Path | None, decoding: DecodingOptions, store: Any, images: Any
) -> tuple[Array, int] | None:
    """Thumbnail and shorter side of the image that is asked for; None where it is not at hand."""
    if sha256 in store:
        same = images[images["sha256"] == sha256]
        if len(same):
            return store.read(sha256), int(same[["width", "height"]].min(axis=1).iloc[0])
    if file is None:
        return None
    try:
        found = decode(file.read_bytes(), decoding)
    except (UnusableImageError, OSError):
        return None
    return thumbnail(found.pixels), min(found.width, found.height)


def _copies(
    own: tuple[Array, int], thumbs: list[Array], rows: Any
) -> Iterator[tuple[str, tuple[float, str]]]:
    """Each image that shows the same picture, with how much they agree at best.

    All recorded images are one group, so that only pairs with the one that is asked for are looked
    at, and they come in parts, for the search compares all of a part with each other.
    """
    digests, sides = list(rows["sha256"]), list(rows[["width", "height"]].min(axis=1))
    for start in range(0, len(thumbs), PART):
        part = slice(start, start + PART)
        options = NearCopyOptions(neighbours=PART)
        squares = np.stack([own[0], *thumbs[part]])
        groups = np.array(["asked", *(["known"] * (len(squares) - 1))], object)
        candidates = find_candidates(squares, groups, options)
        pairs = confirm(squares, np.array([own[1], *sides[part]]), candidates, options)
        best: Found = {}
        for first, second, turn, score, share in pairs.itertuples(index=False):
            sha256 = digests[start + max(int(first), int(second)) - 1]
            said = (round(float(score), 4), _how(int(turn), float(share)))
            best[sha256] = max(best.get(sha256, (0.0, "")), said)
        yield from best.items()


def _how(turn: int, share: float) -> str:
    cut = f"crop {share:.2f}" if share < WHOLE else ""
    return " ".join(filter(None, [ORIENTATIONS[turn], cut])) or "same picture"
