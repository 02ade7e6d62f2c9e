"""Short descriptions of images whose means tell batches apart.

The embeddings are whitened on their leading directions, and described by blocks: fewer and more of
the directions themselves (mean shifts), their absolute values (scale), what lies beside them
(novelty), and random Fourier features at two scales (anything else; Rahimi and Recht, 2007: the
distance of their means is the kernel MMD of Gretton et al., 2012). What a person understands, if
given, is described by its own blocks. Many directions find blur and noise, few find mixtures;
neither alone found all planted shifts.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh

from graft.vision.monitoring.batch import CLASS, Batch, common_statistics
from graft.vision.records import Array

FITTED_ROWS = 1500
"""Images that directions are found in: more cost time and hardly turn them."""
ROWS_PER_DIRECTION = 4
FEW, SOME, MANY = 24, 48, 96
"""Leading directions."""
WAVES = 128
"""Random features of each kernel."""
KERNELS = ((8, 0.5), (SOME, 1.0))
"""Leading directions and bandwidth, in median distances of two images."""


def sketch(known: Batch, new: Batch, rng: np.random.Generator) -> list[Array]:
    """Blocks of (N, F) float32, the known images first; no row's sketch depends on its side."""
    embeddings = np.concatenate([known.embeddings, new.embeddings]).astype(np.float32)
    white, novelty = _whitened(embeddings, rng)
    blocks = [white[:, :FEW], white, np.abs(white[:, :SOME]), novelty]
    blocks += [_waves(white[:, :many], bandwidth, rng) for many, bandwidth in KERNELS]
    return [*blocks, *_plain(known, new)]


def _plain(known: Batch, new: Batch) -> Iterator[Array]:
    names = common_statistics(known, new)
    classes = [name for name in names if name.startswith(CLASS)]
    for chosen in (classes, [name for name in names if name not in classes]):
        if chosen:
            sides = [side.statistics[chosen].to_numpy(np.float32) for side in (known, new)]
            values = np.concatenate(sides)
            yield (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)


def _whitened(embeddings: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """(N, K) coordinates of unit variance, and (N, 1) logarithm of what lies beside them."""
    rows = len(embeddings)
    chosen = rng.choice(rows, FITTED_ROWS, replace=False) if rows > FITTED_ROWS else slice(None)
    centre = embeddings[chosen].mean(axis=0)
    part = embeddings[chosen] - centre
    many = min(MANY, max(1, len(part) // ROWS_PER_DIRECTION), part.shape[1])
    values, axes = _leading_directions(part, many)
    centred = embeddings - centre
    placed = centred @ axes
    left = (centred * centred).sum(axis=1) - (placed * placed).sum(axis=1)
    novelty = 0.5 * np.log(np.maximum(left, 1e-6 * float(values.sum())))
    return placed / np.sqrt(values), novelty[:, None]


def _leading_directions(part: Array, many: int) -> tuple[Array, Array]:
    """Variances and (D, many) axes of centred rows, the greatest first."""
    wide = part.shape[1] > len(part)
    square = (part @ part.T if wide else part.T @ part) / len(part)
    size = len(square)
    values, axes = eigh(square, subset_by_index=[size - many, size - 1])
    # Equal images have no spread; what is divided by must not vanish.
    values = np.maximum(values, max(1e-6 * float(values[-1]), 1e-12))[::-1]
    axes = axes[:, ::-1]
    return values, part.T @ axes / np.sqrt(values * len(part)) if wide else axes


def _waves(white: Array, bandwidth: float, rng: np.random.Generator) -> Array:
    one, other = rng.integers(len(white), size=(2, 1000))
    distance = float(np.median(np.linalg.norm(white[one] - white[other], axis=1)))
    scale = 1 / max(bandwidth * distance, 1e-6)
    angle = white @ rng.normal(0, scale, (white.shape[1], WAVES)).astype(np.float32)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
