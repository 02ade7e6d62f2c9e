"""The street of a drive: how wide, how bent, and what stands beside it."""

from dataclasses import dataclass

from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour


@dataclass(frozen=True)
class Street:
    """Metres are to the right of the camera, which drives in the right lane."""

    place: str
    """town, suburb or country."""
    lane_m: float
    right_m: float
    """Right edge of the road."""
    left_m: float
    sidewalk_m: float
    """Width of the sidewalks; 0 in the country."""
    bend_per_m: float
    parking: bool
    """Whether cars are parked along the right edge."""
    asphalt: Colour
    ground: Colour
    traffic: float
    """Vehicles in a scene, on average."""
    walkers: float
    """Pedestrians in a scene, on average."""

    @property
    def lane_centres_m(self) -> tuple[float, float]:
        """Middle of the lane ahead and of the oncoming one."""
        return 0.0, -self.lane_m


def draw_street(rng: Generator) -> Street:
    """A street of any kind."""
    place = str(rng.choice(["town", "suburb", "country"], p=[0.5, 0.3, 0.2]))
    town, country = place == "town", place == "country"
    lane = rng.uniform(2.9, 3.4)
    parking = town and rng.random() < 0.5
    grey = int(rng.integers(84, 118))
    return Street(
        place=place,
        lane_m=lane,
        right_m=lane / 2 + (2.1 if parking else 0.25),
        left_m=-1.5 * lane - 0.25,
        sidewalk_m=0.0 if country else rng.uniform(1.8, 3.2),
        bend_per_m=rng.normal(0, 0.0022 if country else 0.0010),
        parking=parking,
        asphalt=(grey, grey, grey + 4),
        ground=(104, 124, 68) if not town else (128, 122, 114),
        traffic=rng.uniform(1.2, 2.6) if country else rng.uniform(2.0, 4.0),
        walkers=rng.uniform(0.1, 0.6) if country else rng.uniform(1.5, 4.5),
    )
