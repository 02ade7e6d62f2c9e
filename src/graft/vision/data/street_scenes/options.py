"""What may be told to the renderer; the defaults are the embedded sample."""

from typing import Literal, Self

from pydantic import Field, model_validator

from graft.vision.errors import OptionsError
from graft.vision.options import Options

Light = Literal["mixed", "day", "night"]
Poison = Literal["labels", "patch", "changed"]


class StreetScenesOptions(Options):
    """How much is rendered, in which light, and from which seed."""

    seed: int = Field(default=0, ge=0)
    light: Light = "mixed"
    """All conditions in turn, or drives by day or by night alone."""
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

    @model_validator(mode="after")
    def _check_light(self) -> Self:
        if self.drifted and self.light != "mixed":
            raise ValueError(f"a drifted batch has a light of its own, and light is {self.light}")
        return self

    @property
    def flags(self) -> str:
        """What to add on the command line, beside the seed, to render the same."""
        usual = StreetScenesOptions.model_fields
        drives = self.train_drives + self.test_drives
        given = [" --drifted"] if self.drifted else []
        if self.light != usual["light"].default:
            given.append(f" --light {self.light}")
        if drives != usual["train_drives"].default + usual["test_drives"].default:
            given.append(f" --drives {drives}")
        if self.scenes_per_drive != usual["scenes_per_drive"].default:
            given.append(f" --scenes {self.scenes_per_drive}")
        return "".join(given)


def share_drives(drives: int) -> dict[str, int]:
    """So many drives in train and test, shared as the sample's are: two in seven are tested.

    At least one is in each, so that one drive alone is two. Raises `OptionsError` for none.
    """
    if drives < 1:
        raise OptionsError("a render has drives", found=drives, allowed="1 or more")
    test = max(1, round(drives * 2 / 7))
    return {"train_drives": max(1, drives - test), "test_drives": test}
