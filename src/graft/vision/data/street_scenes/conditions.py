"""Weather, light and camera of a drive."""

from dataclasses import dataclass, replace

from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import Colour

Tint = tuple[float, float, float]


@dataclass(frozen=True)
class Conditions:
    """What every scene of a drive shares. Shares are in 0..1."""

    name: str
    ambient: Tint
    """Light that falls on everything; 1 is a bright noon."""
    sky_top: Colour
    sky_low: Colour
    lamps: float = 0.0
    """How far head lamps, street lamps and windows are lit."""
    clouds: float = 0.4
    visibility_m: float = 900.0
    rain: float = 0.0
    noise: float = 0.012
    motion_px: float = 1.0
    defocus_px: float = 0.4
    cast: Tint = (1.0, 1.0, 1.0)
    """Gain of the camera's channels."""
    jpeg_quality: int = 84
    wear: float = 0.45
    """How faded and dirty signs are."""


KINDS = {
    kind.name: kind
    for kind in (
        Conditions("day", (1.0, 0.98, 0.94), (84, 140, 205), (196, 214, 228), clouds=0.7),
        Conditions(
            "night",
            (0.10, 0.11, 0.16),
            (9, 11, 24),
            (52, 44, 46),
            lamps=1.0,
            clouds=0.1,
            noise=0.030,
            motion_px=2.0,
            defocus_px=0.5,
            jpeg_quality=76,
        ),
        Conditions(
            "rain",
            (0.56, 0.58, 0.62),
            (108, 116, 124),
            (158, 163, 166),
            lamps=0.55,
            clouds=0.7,
            visibility_m=170.0,
            rain=0.8,
            noise=0.018,
            defocus_px=0.55,
            jpeg_quality=80,
        ),
        Conditions(
            "dusk",
            (0.50, 0.40, 0.42),
            (58, 62, 108),
            (226, 150, 104),
            lamps=0.7,
            clouds=0.6,
            noise=0.022,
            motion_px=1.8,
            defocus_px=0.5,
        ),
        Conditions(
            "fog",
            (0.74, 0.75, 0.76),
            (186, 189, 191),
            (198, 200, 201),
            lamps=0.35,
            clouds=0.0,
            visibility_m=30.0,
            noise=0.016,
            defocus_px=0.5,
        ),
        Conditions(
            "overcast",
            (0.78, 0.79, 0.80),
            (150, 158, 166),
            (206, 209, 211),
            clouds=0.8,
            noise=0.014,
        ),
        Conditions(
            "rainy_night",
            (0.09, 0.10, 0.14),
            (10, 11, 18),
            (40, 38, 42),
            lamps=1.0,
            clouds=0.0,
            visibility_m=110.0,
            rain=0.9,
            noise=0.042,
            motion_px=2.4,
            defocus_px=1.0,
            jpeg_quality=72,
        ),
    )
}
USUAL = ("day", "night", "overcast", "rain", "dusk", "fog")
LIGHTS = {"mixed": USUAL, "day": ("day", "overcast"), "night": ("night", "rainy_night")}
DRIFTED = ("night", "fog", "rainy_night", "dusk", "rain", "night", "rainy_night", "fog")


def draw_conditions(rng: Generator, kind: str, *, drifted: bool) -> Conditions:
    """Conditions of one drive, around those of its kind."""
    base = KINDS[kind]
    dim = rng.uniform(0.82, 1.1) * (0.9 if drifted else 1.0)
    red, green, blue = base.ambient
    # The later batch was taken with a new camera: warmer, and noisier.
    warm = 0.14 if drifted else rng.uniform(-0.05, 0.05)
    return replace(
        base,
        ambient=(red * dim, green * dim, blue * dim),
        clouds=base.clouds * rng.uniform(0.4, 1.2),
        visibility_m=base.visibility_m * rng.uniform(0.75, 1.35) * (0.8 if drifted else 1.0),
        noise=base.noise * rng.uniform(0.8, 1.3) * (1.4 if drifted else 1.0),
        motion_px=base.motion_px * rng.uniform(0.6, 1.4),
        defocus_px=base.defocus_px * rng.uniform(0.8, 1.3),
        cast=(1 + warm, 1.0 + rng.uniform(-0.02, 0.02), 1 - warm),
        wear=min(1.0, base.wear * rng.uniform(0.6, 1.4) * (1.8 if drifted else 1.0)),
    )
