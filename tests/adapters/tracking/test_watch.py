"""A call to a silent server is given up; nothing else is."""

import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from graft.adapters.faults.tracking import TrackingError
from graft.adapters.tracking.watch import watched


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def stubborn() -> None:
    """As libraries do that try again whatever comes."""
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


def test_watched__gives_up_though_the_call_would_try_again(silent: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TrackingError, match="timed out"):
        watched(silent, stubborn)
    assert time.perf_counter() - started < 2


def test_watched__leaves_a_quick_call_alone(silent: str) -> None:
    assert watched(silent, lambda: 7) == 7
    with pytest.raises(KeyError):
        watched(silent, lambda: {}["a"])
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_watched__gives_somebody_elses_alarm_back(silent: str) -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        watched(silent, lambda: time.sleep(0.1))
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.45
        time.sleep(0.6)
        assert rung == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_watched__makes_the_call_as_it_is_for_a_file_and_in_another_thread(silent: str) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(watched(silent, lambda: 7)))
    thread.start()
    thread.join()
    assert found == [7] and watched("sqlite:///mlflow.db", lambda: 8) == 8
