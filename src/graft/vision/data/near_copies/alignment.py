"""How one small picture lies over another: batches of Gauss-Newton steps."""

from dataclasses import dataclass

import numpy as np

from graft.vision.records import Array

SOFTENING_PX = 0.7
"""Deviation of the Gaussian that reads between pixels: sharper, fine textures lose their match to
half a pixel."""
INSET_PX = 1.0
"""Rim that is left out: there, a cut picture repeats its edge where the whole one goes on."""
LEAST_SHARE = 0.85
"""Of the side that two pictures must have in common, on either axis."""
_DAMPING = 1e-3


@dataclass(frozen=True)
class Placement:
    """Where the second picture of each pair lies over the first, on x and y.

    What the first shows at place u (0..1), the second shows at 0.5 + shift + stretch * (u - 0.5).

    Args:
        shift: (K, 2), in shares of the second's side.
        stretch: (K, 2); above 1, the second shows less, larger.
    """

    shift: Array
    stretch: Array

    def __getitem__(self, kept: Array) -> "Placement":
        return Placement(self.shift[kept], self.stretch[kept])

    def grids(self, count: int) -> tuple[Array, Array]:
        """(K, 2, count) places on the first and on the second, spread over what both show."""
        start, end = self._common()
        steps = (np.arange(count) + 0.5) / count
        steps = (INSET_PX + (count - 2 * INSET_PX) * steps) / count
        first = start[..., None] + (end - start)[..., None] * steps
        second = 0.5 + self.shift[..., None] + self.stretch[..., None] * (first - 0.5)
        return first.astype(np.float32), second.astype(np.float32)

    def shares(self) -> Array:
        """(K,) the share of a side that both show, on the axis and picture where it is least."""
        start, end = self._common()
        return ((end - start) * np.minimum(self.stretch, 1)).min(axis=1)

    def _common(self) -> tuple[Array, Array]:
        """Start and end of what both show, on the first."""
        start, end = (0.5 + (edge - 0.5 - self.shift) / self.stretch for edge in (0, 1))
        return np.maximum(start, 0), np.minimum(end, 1)


def filling(windows: Array) -> Placement:
    """The second shows (K, 2, 2) windows of the first: start and end on x and on y, in shares."""
    start, end = windows[..., 0], windows[..., 1]
    stretch = 1 / (end - start)
    return Placement((1 - start - end) / 2 * stretch, stretch)


def common_parts(first: Array, second: Array, placement: Placement) -> tuple[Array, Array]:
    """(K, S, S) float32 each: what both pictures show, on one grid."""
    grids = placement.grids(first.shape[-1])
    return _read(first, grids[0]), _read(second, grids[1])


def refine(first: Array, second: Array, placement: Placement) -> tuple[Placement, Array]:
    """A better placement of (K, S, S) float32 pictures, and the correlation it should reach.

    One step of Lucas and Kanade's method with gain and bias (Baker and Matthews, Lucas-Kanade 20
    Years On, part 3): the first picture is explained by the second and its slopes.
    """
    side = first.shape[-1]
    products = _products(first, second, placement)
    normal, aim = products[:, :5, :5].copy(), products[:, :5, 5:]
    diagonal = np.einsum("kii->ki", normal)
    diagonal *= 1 + _DAMPING
    diagonal += 1e-6 * (1 + diagonal.max(axis=1, keepdims=True))
    answer = np.linalg.solve(normal, aim)[..., 0]
    explained = (answer * aim[..., 0]).sum(axis=1) / np.maximum(products[:, 5, 5], 1e-6)
    # A negative gain is a negative picture: no copy.
    reach = np.sqrt(np.maximum(explained, 0)) * (answer[:, 0] > 0)
    moves = np.clip(answer[:, 1:] / np.maximum(answer[:, :1], 1e-3), -1, 1).reshape(-1, 2, 2) / side
    shift = np.clip(placement.shift + moves[:, :, 0], LEAST_SHARE - 1, 1 - LEAST_SHARE)
    stretch = np.clip(placement.stretch + moves[:, :, 1], LEAST_SHARE, 1 / LEAST_SHARE)
    return Placement(shift, stretch), reach


def _products(first: Array, second: Array, placement: Placement) -> Array:
    """(K, 6, 6) float64 products, all centred, of what explains and what is explained: the second,
    its slopes by shift and stretch on x and on y; the first."""
    side = first.shape[-1]
    on_first, on_second = placement.grids(side)
    wide, high = _weights(on_second[:, 0], side), _weights(on_second[:, 1], side)
    across = second @ wide.swapaxes(1, 2)
    by_x = high @ (second @ _slopes(wide, on_second[:, 0]).swapaxes(1, 2))
    by_y = _slopes(high, on_second[:, 1]) @ across
    arms = on_first - 0.5
    fields = [high @ across, by_x, by_x * arms[:, 0, None, :], by_y, by_y * arms[:, 1, :, None]]
    flat = np.stack([*fields, _read(first, on_first)], axis=1).reshape(-1, 6, side * side)
    flat -= flat.mean(axis=2, keepdims=True)
    return (flat @ flat.swapaxes(1, 2)).astype(np.float64)


def _read(squares: Array, places: Array) -> Array:
    """(K, count, count) float32: the squares at (K, 2, count) places on x and y."""
    side = squares.shape[-1]
    wide, high = (_weights(places[:, axis], side) for axis in (0, 1))
    return high @ squares @ wide.swapaxes(1, 2)


def _apart(places: Array, side: int) -> Array:
    """(K, count, side) from each pixel's centre to each place, in px."""
    return places[..., None] * np.float32(side) - (np.arange(side, dtype=np.float32) + 0.5)


def _weights(places: Array, side: int) -> Array:
    """(K, count, side) what each pixel gives to the value at each place; sums to 1."""
    weights = np.exp(_apart(places, side) ** 2 * np.float32(-0.5 / SOFTENING_PX**2))
    return weights / weights.sum(axis=-1, keepdims=True)


def _slopes(weights: Array, places: Array) -> Array:
    """How the weights change as the places move by 1 px."""
    pull = _apart(places, weights.shape[-1]) * np.float32(-1 / SOFTENING_PX**2)
    return weights * (pull - (weights * pull).sum(axis=-1, keepdims=True))
