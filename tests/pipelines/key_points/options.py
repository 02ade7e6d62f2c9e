"""What key points may be told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field

from graft.vision import options
from graft.vision.errors import HarmonyError

if TYPE_CHECKING:
    from graft.vision.preprocessing import Preprocessing


class TaskOptions(options.TaskOptions):
    """Options of the head."""

    channels: int = Field(default=32, ge=8)
    """Of the layer before the heat maps."""

    def fitted_to(
        self, texts: Sequence[str], view: "Preprocessing", short_side_px: int | None = None
    ) -> Self:
        """These options. Raises `HarmonyError` for tiles, of which one alone holds the point."""
        if view.fit == "tiles":
            raise HarmonyError(
                "an image has one key point, and tiles would each say one",
                found="backbone.fit: tiles",
                allowed="crop, squash or letterbox",
                mend="set backbone.fit to one of these",
            )
        return self
