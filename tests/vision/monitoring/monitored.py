"""Images and embeddings that monitoring is tested on: clean, shifted, poisoned."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from graft.vision.monitoring.batch import Batch

SIDES, DEPTH = 24, 64
_MIXING = (
    np.random.default_rng(7).normal(size=(SIDES, DEPTH)) * np.geomspace(2, 0.1, SIDES)[:, None]
)


def embeddings_of(hidden: np.ndarray, seed: int) -> np.ndarray:
    """(N, DEPTH) of (N, SIDES) hidden causes, with a little noise of their own."""
    noise = np.random.default_rng([seed, 1]).normal(0, 0.1, (len(hidden), DEPTH))
    return (hidden @ _MIXING + noise).astype(np.float32)


def drawn_batch(images: int, seed: int, *, units: int | None = None, alike: float = 0.0) -> Batch:
    """Clean images; those of one unit share a cause whose deviation is ``alike``."""
    rng = np.random.default_rng(seed)
    of = np.arange(images) % (units or images)
    hidden = rng.normal(size=(images, SIDES)) + alike * rng.normal(size=(images, SIDES))[of]
    return Batch(embeddings_of(hidden, seed), [f"u{i}" for i in of])


def moved_batch(batch: Batch, by: float) -> Batch:
    """The same images, with each hidden cause moved by so many of its deviations."""
    return Batch((batch.embeddings + by * _MIXING.sum(axis=0)).astype(np.float32), batch.units)


def shifted_batch(images: int, seed: int, kind: str, strength: float) -> Batch:
    """Images that differ in their mean, their scale, or a cluster that is a share of them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(images, SIDES))
    if kind == "mean":
        hidden += strength
    elif kind == "scale":
        hidden *= strength
    elif kind == "cluster":
        hidden[: round(strength * images)] = 2.5 + 0.2 * hidden[: round(strength * images)]
    return Batch(embeddings_of(hidden, seed), [f"u{i}" for i in range(images)])


def picture(seed: int, height: int = 96, width: int = 96) -> np.ndarray:
    """(H, W, 3) uint8: soft blotches of colour, with some grain."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (6, 6, 3)).astype(np.float32)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft + rng.normal(0, 12, soft.shape), 0, 255).astype(np.uint8)


def manifest_of(
    pictures: Sequence[np.ndarray],
    classes: Sequence[str],
    side: str = "a",
    units: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A manifest, with units, of pictures with one class each."""
    names = [f"{side}/{i:04d}.png" for i in range(len(pictures))]
    return pd.DataFrame(
        {
            "id": names,
            "path": names,
            "sha256": [hashlib.sha256(p.tobytes()).hexdigest() for p in pictures],
            "width": [p.shape[1] for p in pictures],
            "height": [p.shape[0] for p in pictures],
            "channels": 3,
            "truth": [json.dumps({"classes": [name]}) for name in classes],
            "group": "",
            "given_split": "",
            "notes": "",
            "unit": list(units) if units is not None else names,
        }
    )
