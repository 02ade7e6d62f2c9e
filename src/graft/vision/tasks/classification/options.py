"""What classification may be told."""

from pydantic import Field

from graft.vision import options


class TaskOptions(options.TaskOptions):
    """Options of the classification head."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of features dropped before the head, while training."""
