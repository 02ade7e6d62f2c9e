"""What a vehicle is: its measures, its place and its paint."""

from dataclasses import dataclass
from typing import NamedTuple

from graft.vision.data.street_scenes.canvas import Colour


class Build(NamedTuple):
    """Measures of a kind of vehicle in metres."""

    width: float
    length: float
    waist: float
    """Height up to which the body is full; the cabin is above."""
    height: float
    taper: float
    """How much narrower the roof is, on each side."""
    cabin: tuple[float, float]
    """Where the cabin begins and ends, as shares of the length from the rear."""


CAR = Build(1.78, 4.2, 0.92, 1.46, 0.22, (0.06, 0.66))
VAN = Build(1.95, 5.0, 1.10, 2.05, 0.12, (0.0, 0.86))
TRUCK = Build(2.45, 8.5, 1.05, 3.4, 0.0, (0.0, 1.0))


@dataclass(frozen=True)
class Vehicle:
    """One vehicle; x is its middle and z its nearest face."""

    build: Build
    x_m: float
    z_m: float
    oncoming: bool
    paint: Colour
    parked: bool = False

    @property
    def cabin_span_m(self) -> tuple[float, float]:
        """Where the cabin begins and ends behind the nearest face."""
        begin, end = self.build.cabin
        if self.oncoming:
            begin, end = 1 - end, 1 - begin
        return begin * self.build.length, end * self.build.length
