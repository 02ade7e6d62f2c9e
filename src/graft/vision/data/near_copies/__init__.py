"""Exact and near copies of images: re-encoded, resized, brightened, cropped, flipped, turned.

Tiny normalised pictures, compared in eight orientations and ten windows, propose candidates. Each
candidate is aligned by Gauss-Newton steps over shift and stretch on either axis, on finer and finer
thumbnails, and must then agree both as a whole and in its fine detail; images of few pixels have
little detail and must agree more closely. Perceptual hashes alone miss crops and merge look-alikes
(radiographs, signs).
"""

from graft.vision.data.near_copies.clusters import clusters_of, connect
from graft.vision.data.near_copies.finding import (
    PAIR_COLUMNS,
    RULE,
    NearCopies,
    find_near_copies,
    open_fingerprints,
    question_of,
)
from graft.vision.data.near_copies.thumbnails import SIDE, thumbnail

__all__ = [
    "PAIR_COLUMNS",
    "RULE",
    "SIDE",
    "NearCopies",
    "clusters_of",
    "connect",
    "find_near_copies",
    "open_fingerprints",
    "question_of",
    "thumbnail",
]
