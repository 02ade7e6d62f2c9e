"""How new images are watched; light to import."""

from pydantic import Field

from graft.vision.options import Options


class DriftOptions(Options):
    """When new images count as drifted, and when nothing can be told."""

    false_alarm_rate: float = Field(default=0.01, gt=0, le=0.2)
    """Share of clean batches that may be called drifted."""
    permutations: int = Field(default=999, ge=99)
    """Ways of dealing the units; the rate must be at least one in this many."""
    images_min: int = Field(default=20, ge=10)
    """New images, and known ones, below which nothing is told."""
    units_min: int = Field(default=5, ge=3)
    """New units, and known ones, below which nothing is told."""
    power: float = Field(default=0.8, gt=0, lt=1)
    """Share of batches in which a shift must be found to be named as one that is found."""
    power_windows: int = Field(default=30, ge=10)
    """Batches in which each shift of each strength is planted."""


class IntakeOptions(Options):
    """When a batch is held for a person to look at."""

    conflicting_copies_max: int = Field(default=0, ge=0)
    """Copies of known images that may have another truth."""
    unusable_share_max: float = Field(default=0.1, ge=0, le=1)
    """Share of the files that may be unusable."""
    unusable_min: int = Field(default=3, ge=1)
    """Unusable files from which their share counts."""
    flood_gain_min: float = Field(default=0.15, gt=0, lt=1)
    """What a class's share must gain on its share among the known images to be a flood."""
    flood_rate: float = Field(default=0.001, gt=0, le=0.2)
    """Share of clean batches that may seem flooded, over all classes."""
    patch_share_min: float = Field(default=0.01, gt=0, le=1)
    """Share of the new images that must carry a patch for it to be one."""
    patch_images_min: int = Field(default=3, ge=2)
    """Images, and units, that must carry a patch, however few there are."""
    patch_known_share_max: float = Field(default=0.001, ge=0, le=1)
    """Share of the known images that may show the same."""


class MonitoringOptions(Options):
    """Drift, label-free accuracy, and what holds a batch."""

    drift: DriftOptions = DriftOptions()
    intake: IntakeOptions = IntakeOptions()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of intervals."""
    resamples: int = Field(default=1000, ge=100)
    """Of units, for intervals."""
    seed: int = 0
