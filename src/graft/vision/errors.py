"""What went wrong, in one voice: what, what was found, what is allowed, what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class GraftError(Exception):
    """Base of every error that a user of graft is meant to read.

    Args:
        what: the sentence that says what is wrong and where.
        found: what was found there.
        allowed: what would have been right.
        mend: what to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        found: object = None,
        allowed: object = None,
        mend: str | None = None,
    ) -> None:
        parts = [what.rstrip(".")]
        if found is not None:
            parts.append(f"found: {str(found).rstrip(' ;')}")
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if mend is not None:
            parts.append(f"next: {mend.rstrip('.')}")
        text = "; ".join(parts) + "."
        # Names of files may hold bytes that are not UTF-8: such words could be written nowhere.
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))


class OptionsError(GraftError):
    """An option has a wrong name, type or value."""


class DataError(GraftError):
    """The data as a whole cannot be used."""


class UnusableImageError(GraftError):
    """One image cannot be used; it goes to the quarantine and the rest goes on."""


class StoreError(GraftError):
    """A content store is damaged, locked or full."""


class WeightsError(GraftError):
    """Weights are missing, altered, or not what their contract says."""


class HarmonyError(GraftError):
    """Weights, policy, head and data do not fit each other."""


class TrainingError(GraftError):
    """Training cannot start or go on."""


class ResourceError(GraftError):
    """The machine has too little of what this takes."""


class CheckpointError(TrainingError):
    """A checkpoint is incomplete or belongs to another training."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
