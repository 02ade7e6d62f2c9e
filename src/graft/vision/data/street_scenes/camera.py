"""Where a point of the street falls in the frame.

Street metres: x to the right of the camera, y up from the ground, z ahead. Frame pixels: x to the
right, y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from graft.vision.records import Array

FRAME_HEIGHT_PX, FRAME_WIDTH_PX = 384, 640
NEAREST_M = 1.6
"""What is nearer is drawn at this distance, so that nothing falls behind the lens."""


@dataclass(frozen=True)
class Camera:
    """A pinhole on the windscreen, in a street that may bend."""

    focal_px: float = 430.0
    horizon_px: float = 175.0
    centre_px: float = FRAME_WIDTH_PX / 2
    height_m: float = 1.4
    bend_per_m: float = 0.0
    """Curvature of the street; positive bends to the right."""

    def project(self, points_m: object) -> Array:
        """Frame pixels (N, 2) of street points (N, 3)."""
        points = np.asarray(points_m, np.float64)
        z = np.maximum(points[:, 2], NEAREST_M)
        scale = self.focal_px / z
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.centre_px + scale * (points[:, 0] + self.bend_m(z))
        pixels[:, 1] = self.horizon_px + scale * (self.height_m - points[:, 1])
        return pixels

    def bend_m(self, z_m: Array) -> Array:
        """How far the street has moved sideways at a distance."""
        # Beyond 120 m it goes straight on, or it would cross the whole horizon.
        reach = np.minimum(z_m, 120.0)
        return self.bend_per_m * (reach**2 / 2 + reach * (z_m - reach))

    def pixels_per_metre(self, z_m: float) -> float:
        """Pixels of one metre that stands upright at this distance."""
        return self.focal_px / max(z_m, NEAREST_M)

    def ground_depth_m(self) -> Array:
        """Distance of the ground for each row, (FRAME_HEIGHT_PX,); infinite above the horizon."""
        below = np.arange(FRAME_HEIGHT_PX) - self.horizon_px
        return np.where(
            below > 0, self.focal_px * self.height_m / np.maximum(below, 1e-3), np.inf
        ).astype(np.float32)


def draw_camera(rng: Generator, bend_per_m: float) -> Camera:
    """A camera that nods and sways a little from scene to scene."""
    return Camera(
        focal_px=430.0 * rng.uniform(0.95, 1.05),
        horizon_px=175.0 + rng.normal(0, 6),
        centre_px=FRAME_WIDTH_PX / 2 + rng.normal(0, 14),
        height_m=rng.uniform(1.25, 1.6),
        bend_per_m=bend_per_m + rng.normal(0, 0.0006),
    )
