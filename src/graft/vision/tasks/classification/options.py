"""What classification may be told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field

from graft.vision import options
from graft.vision.errors import HarmonyError

if TYPE_CHECKING:
    from graft.vision.preprocessing import Preprocessing


class TaskOptions(options.TaskOptions):
    """Options of the classification head."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of features dropped before the head, while training."""

    def fitted_to(
        self, texts: Sequence[str], view: "Preprocessing", short_side_px: int | None = None
    ) -> Self:
        """These options. Raises `HarmonyError` for tiles: a part does not tell of the whole."""
        if view.fit == "tiles":
            raise HarmonyError(
                "classification says one thing of a whole image, and a tile shows a part of it",
                found="backbone.fit: tiles",
                allowed="crop, squash or letterbox",
                mend="set backbone.fit to one of these, and backbone.image_size_px to what small "
                "details need",
            )
        return self
