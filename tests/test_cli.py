"""The command line speaks plainly: of what a user can mend, and of being stopped."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from graft.cli import speak_plainly
from graft.vision.errors import DataError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Signals end a process, also where some were ignored; afterwards all is as it was."""
    usual = {signal.SIGINT: signal.default_int_handler}
    before = {n: signal.signal(n, usual.get(n, signal.SIG_DFL)) for n in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refuse() -> None:
    raise DataError("no images", mend="bring some")


def test_speak_plainly__shows_one_message_for_what_can_be_mended() -> None:
    with pytest.raises(click.ClickException) as caught:
        speak_plainly(refuse)()
    assert caught.value.format_message() == "no images; next: bring some."
    assert caught.value.exit_code == 1


def test_speak_plainly__lets_a_fault_of_graft_through() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        speak_plainly(fail)()


def send(number: int) -> Callable[[], Any]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_speak_plainly__ends_with_the_code_of_the_signal(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        speak_plainly(send(number))()
    assert end.value.code == 128 + number
    assert f"Stopped by {number.name}. What is finished is kept; next: " in capsys.readouterr().err


def test_speak_plainly__leaves_a_hangup_ignored_that_was_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    assert speak_plainly(send(signal.SIGHUP))() is None
