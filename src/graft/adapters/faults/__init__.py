"""Faults of the world around graft, each as the one message that its user reads."""

from collections.abc import Callable, Iterator

from graft.adapters.faults.conf import explain_conf
from graft.adapters.faults.disk import explain_disk
from graft.adapters.faults.tracking import explain_tracking
from graft.vision.errors import GraftError

Explain = Callable[[list[BaseException]], str | None]
WRAPPERS = ("kedro", "mlflow", "sqlalchemy", "pandas", "pyarrow")
"""Libraries that raise errors of their own in place of another, without ``from``."""


def readable(error: BaseException) -> str | None:
    """The message for an error, or None where it is a fault of graft and needs its traceback."""
    chain = list(causes(error))
    explanations: tuple[Explain, ...] = (_own, explain_tracking, explain_disk, explain_conf)
    return next((text for explain in explanations if (text := explain(chain))), None)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it says that it came from, outermost first.

    What was merely handled when graft raised is not a cause: it would hide a fault of graft's.
    """
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        wraps = type(cause).__module__.partition(".")[0] in WRAPPERS
        hidden = cause.__context__ if wraps and not cause.__suppress_context__ else None
        cause = cause.__cause__ or hidden


def _own(chain: list[BaseException]) -> str | None:
    return next((str(error) for error in chain if isinstance(error, GraftError)), None)
