"""When a champion is trained again; light to import."""

from pydantic import Field

from graft.vision.monitoring.options import MonitoringOptions
from graft.vision.options import Options


class RetrainingOptions(Options):
    """What is a reason to train again, and what new images are watched for."""

    max_age_days: float | None = Field(default=None, gt=0)
    """A champion that is older is trained again; never for its age when null."""
    unlabelled: str = ""
    """Folder below the project with images that were served and have no truth; empty for none."""
    score_drop_min: float = Field(default=0.02, ge=0, lt=1)
    """Of the primary metric: a fall that is smaller is none."""
    monitoring: MonitoringOptions = MonitoringOptions()
