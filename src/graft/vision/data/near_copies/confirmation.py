"""Whether candidates are copies: aligned, they agree as a whole and in their fine detail."""

import numpy as np
import pandas as pd

from graft.vision.data.near_copies.alignment import (
    LEAST_SHARE,
    Placement,
    common_parts,
    filling,
    refine,
)
from graft.vision.data.near_copies.candidates import WINDOWS
from graft.vision.data.near_copies.thumbnails import SIDE, reduced, turned_each
from graft.vision.data.options import NearCopyOptions
from graft.vision.records import Array

BATCH = 256
"""Candidates that are aligned at once; bounds the memory."""
PASSES = (16, 16, 16, 32, 32)
"""Sides of the squares that are aligned, one step each; look-alikes fall out on the way."""
COARSE_LOSS = 0.02
"""What a correlation may lose on coarser squares."""
FEW_PIXELS = 0.7
"""Of what may be missing to 1, for images smaller than a thumbnail: they have little detail and
must agree more closely."""
NOISE = 3.0
"""Grey levels of detail that may be noise."""
COLUMNS = ["first", "second", "turn", "score", "share"]


def confirm(
    thumbs: Array, sides: Array, candidates: pd.DataFrame, options: NearCopyOptions
) -> pd.DataFrame:
    """Rows of COLUMNS of the candidates that are copies; the share is what both show of a side.

    Args:
        thumbs: (N, SIDE, SIDE) uint8.
        sides: (N,) shorter side of each image, in px.
        candidates: rows of `find_candidates`.
    """
    starts = range(0, max(len(candidates), 1), BATCH)
    batches = [candidates.iloc[start : start + BATCH] for start in starts]
    return pd.concat([_confirm(thumbs, sides, batch, options) for batch in batches])


def _confirm(
    thumbs: Array, sides: Array, batch: pd.DataFrame, options: NearCopyOptions
) -> pd.DataFrame:
    first, second, turn = (batch[name].to_numpy() for name in COLUMNS[:3])
    a, b = thumbs[first], turned_each(thumbs[second], turn)
    flat = np.minimum(a.std(axis=(1, 2)), b.std(axis=(1, 2))) < options.texture
    score, share = np.zeros(len(batch)), np.ones(len(batch))
    score[flat] = np.abs(a[flat].astype(int) - b[flat]).max(axis=(1, 2), initial=0) <= 1
    few_pixels = np.minimum(sides[first], sides[second])[~flat] < SIDE
    score[~flat], share[~flat] = _agreement(
        a[~flat],
        b[~flat],
        filling(WINDOWS[batch["window"]][~flat]),
        np.where(few_pixels, FEW_PIXELS, 1.0),
        options,
    )
    return batch[COLUMNS[:3]].assign(score=score, share=share)[score > 0]


def _agreement(
    a: Array, b: Array, placement: Placement, strictness: Array, options: NearCopyOptions
) -> tuple[Array, Array]:
    """(K,) score, 0 where the two are no copies, and the share of a side that both show."""
    least = 1 - strictness * (1 - options.correlation)
    least_detail = 1 - strictness * (1 - options.detail)
    left, placement = _aligned(a, b, placement, least - COARSE_LOSS)
    one, other = common_parts(a[left].astype(np.float32), b[left].astype(np.float32), placement)
    whole, shares = _correlations(one, other), placement.shares()
    agree = (whole >= least[left]) & (shares >= LEAST_SHARE)
    detail = _correlations(_local_detail(one[agree]), _local_detail(other[agree]))
    agree[agree] = detail >= least_detail[left][agree]
    score, share = np.zeros(len(a)), np.ones(len(a))
    score[left], share[left] = np.where(agree, whole, 0), shares
    return score, share


def _aligned(a: Array, b: Array, placement: Placement, least: Array) -> tuple[Array, Placement]:
    """Which may still be copies after all passes, and where their second lies."""
    left = np.arange(len(a))
    for side in PASSES:
        placement, reach = refine(reduced(a[left], side), reduced(b[left], side), placement)
        kept = reach >= least[left]
        left, placement = left[kept], placement[kept]
    return left, placement


def _correlations(a: Array, b: Array) -> Array:
    """(K,) correlation of (K, S, S) with (K, S, S)."""
    a, b = (part - part.mean(axis=(1, 2), keepdims=True) for part in (a, b))
    norms = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return (a * b).sum(axis=(1, 2)) / np.maximum(norms, 1e-6)


def _local_detail(parts: Array) -> Array:
    """Fine detail in units of its local strength, so that a silhouette does not drown digits."""
    detail = _blurred(parts, 1.0) - _blurred(parts, 4.0)
    return detail / (np.sqrt(_blurred(detail * detail, 5.0)) + NOISE)


def _blurred(parts: Array, deviation_px: float) -> Array:
    apart = np.arange(parts.shape[-1], dtype=np.float32)
    weights = np.exp(-0.5 * ((apart - apart[:, None]) / deviation_px) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights @ parts @ weights.T
