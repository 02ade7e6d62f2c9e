"""Strict, typed options: frozen, and unknown keys are refused with the nearest known one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from graft.vision.errors import OptionsError, nearest

if TYPE_CHECKING:
    from graft.vision.preprocessing import Preprocessing


class Options(BaseModel):
    """Base of all options. Field names are full words and carry their unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    known = ", ".join(cls.model_fields)
                    near = nearest(str(key), cls.model_fields)
                    raise ValueError(f"unknown key {key!r}{near}; allowed: {known}")
        return values

    @classmethod
    def parse(cls, values: object, where: str) -> Self:
        """Build the options from a mapping, or raise one readable `OptionsError`.

        Args:
            values: a mapping as read from conf.
            where: the place to name in the error, e.g. ``parameters: classification.probing``.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(_describe(fault) for fault in error.errors())
            raise OptionsError(
                f"{where}: {faults}", mend="correct the named keys in conf and run again"
            ) from error

    @classmethod
    def from_record(cls, record: object) -> Self:
        """Read what ``model_dump(mode="json")`` wrote; in JSON a tuple is a list."""
        return cls.model_validate(record, strict=False)


class TaskOptions(Options):
    """Base of what a task may be told in conf."""

    def fitted_to(
        self, texts: Sequence[str], view: "Preprocessing", short_side_px: int | None = None
    ) -> Self:
        """These options with what they leave open (null) filled in from the training truths.

        Args:
            texts: truth texts of the training split.
            view: how images become what the model sees.
            short_side_px: of `DecodingOptions`: how far stored pixels are reduced, if at all.

        Raises:
            HarmonyError: for a view that the task can make nothing of.
        """
        return self


def _describe(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
