"""How a command speaks: one plain message where a user can mend it, a clean end when stopped."""

import functools
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

SAID_TWICE = ("kedro.pipeline.node", "kedro.validation.parameter_validator")
"""Loggers of Kedro that tell an error which is raised as well."""

GOES_ON = "What is finished is kept; next: run the same command again, it goes on from there."


def speak_plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a user can mend as one message, without a traceback; stop cleanly when told to."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for name in SAID_TWICE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        listen_for_stop()
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            click.echo(f"\nStopped by {signal.Signals(number).name}. {GOES_ON}", err=True)
            sys.exit(128 + number)
        except Exception as error:
            from graft.adapters.faults import readable

            message = readable(error)
            if message is None:
                raise
            raise click.ClickException(message) from error

    return wrapped


def listen_for_stop() -> None:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does, so that it can say how it ended."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stop(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # schedulers repeat themselves; once is enough
    raise Stopped(number)
