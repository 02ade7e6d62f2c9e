"""What may be told to the renderer; the defaults are the embedded sample."""

from typing import Self

from pydantic import Field, model_validator

from graft.vision.options import Options


class StreetScenesOptions(Options):
    """How much is rendered, and from which seed."""

    seed: int = Field(default=0, ge=0)
    drifted: bool = False
    """Render a later batch: further drives, darker and foggier, another camera, worn signs."""
    train_drives: int = Field(default=20, ge=1)
    test_drives: int = Field(default=8, ge=1)
    batch_drives: int = Field(default=8, ge=1)
    """Drives of a drifted batch; their numbers go on after train and test."""
    scenes_per_drive: int = Field(default=8, ge=1)
    signs_per_scene_min: int = Field(default=3, ge=1)
    signs_per_scene_max: int = Field(default=5, ge=1, le=6)

    @model_validator(mode="after")
    def _check_signs(self) -> Self:
        if self.signs_per_scene_max < self.signs_per_scene_min:
            raise ValueError(
                f"signs_per_scene_max {self.signs_per_scene_max} is below "
                f"signs_per_scene_min {self.signs_per_scene_min}"
            )
        return self
