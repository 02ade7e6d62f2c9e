"""Options of each task of the table by which its models are small."""

from typing import Any

SMALL_TASKS: dict[str, dict[str, Any]] = {
    "classification": {},
    "detection": {"pyramid_channels": 16, "head_units": 16},
    "segmentation": {},
}
