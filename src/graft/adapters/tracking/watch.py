"""A call to a server, given up within about a second once the server gives no sign of life."""

import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from graft.adapters.faults.tracking import TrackingError
from graft.adapters.tracking.store import is_server, knock

NOTICE_S = 0.3
"""A call that takes longer is looked after."""
KNOCK_S = 0.5
"""How long the server may take to say that it lives."""
PAUSE_MOST_S = 5.0
"""A server that lives and is slow is asked ever more seldom, at least as often as this."""
RECORD_S = 30.0
"""How long one record may take where the server lives."""

Found = TypeVar("Found")


class _Silence(BaseException):
    """Cuts through libraries that would catch an error, and ask the dead server again."""

    def __init__(self, error: TrackingError) -> None:
        super().__init__()
        self.error = error


def watched(
    uri: str,
    act: Callable[[], Found],
    most_s: float = RECORD_S,
    patience_s: float = KNOCK_S,
) -> Found:
    """Do something that asks a store, and return what it returns.

    MLflow waits and tries again for minutes. Here the server is asked beside the call whether it
    lives, for as long as the call takes: a slow one is waited for, a dead one is not. The clock is
    the system's alarm, which interrupts the main thread alone: in another thread, and for a local
    file, the call is made as it is.

    Args:
        most_s: how long the call may take where the server lives.
        patience_s: how long the server may take to say that it does.

    Raises:
        TrackingError: when the server is silent or fails, or the call takes too long.
    """
    if not is_server(uri) or threading.current_thread() is not threading.main_thread():
        return act()
    begun, pause, over = monotonic(), NOTICE_S, False

    def look(number: int, frame: object) -> None:
        nonlocal pause
        silence = None
        try:
            if monotonic() - begun > most_s:
                raise TrackingError(uri, "the call timed out")
            knock(uri, patience_s)
        except TrackingError as error:
            silence = _Silence(error)
        if over:
            return
        pause = min(2 * pause, PAUSE_MOST_S)
        signal.setitimer(signal.ITIMER_REAL, pause)  # where Python drops what is raised here, too
        if silence is not None:
            raise silence

    before = signal.signal(signal.SIGALRM, look)
    rest_s, interval_s = signal.setitimer(signal.ITIMER_REAL, pause)
    try:
        try:
            return act()
        finally:
            over = True
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Silence as silence:
        raise silence.error from None
    finally:
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        if rest_s:  # somebody else's alarm
            left_s = max(rest_s - (monotonic() - begun), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left_s, interval_s)
