"""How `kedro retrain` ends, for whatever called it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Of several tasks, that of the greatest number counts."""

    STANDS = 0
    """A champion stands: as before, newly promoted, or another scheduler is at it."""
    FAULT = 1
    """Something broke; the message is on stderr."""
    USAGE = 2
    """The command was called wrongly."""
    REFUSED = 3
    """The rule refused what was trained; or did so before, where no champion stands, and nothing
    has changed since. A champion that stands goes on standing."""
    HELD = 4
    """The new images are suspicious and held for a person to look at; the champion stands."""
    LABELS_NEEDED = 5
    """The images have drifted, and there is nothing new to learn from; the champion stands."""
    STOPPED = 143
    """Stopped by SIGTERM; the next call goes on from the checkpoint."""


NO_FAULT = (ExitCode.REFUSED, ExitCode.HELD, ExitCode.LABELS_NEEDED, ExitCode.STOPPED)
"""Codes other than 0 that nothing has to be mended for."""

_OF_OUTCOME = {
    "stands": ExitCode.STANDS,
    "promoted": ExitCode.STANDS,
    "superseded": ExitCode.STANDS,
    "refused": ExitCode.REFUSED,
    "held": ExitCode.HELD,
    "labels_needed": ExitCode.LABELS_NEEDED,
}


def exit_code(outcome: str) -> ExitCode:
    """The code of a decision's ``outcome``."""
    return _OF_OUTCOME[outcome]
