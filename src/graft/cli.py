"""The project's commands beside Kedro's: `kedro case`, and a `kedro run` that speaks plainly."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

SAID_TWICE = ("kedro.pipeline.node", "kedro.validation.parameter_validator")
"""Loggers of Kedro that tell an error which is raised as well."""

GOES_ON = "What is finished is kept; next: run the same command again, it goes on from there."


@click.group(name="graft")
def cli() -> None:
    """Commands of graft."""


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


def run_at_root(**options: Any) -> Any:
    """Run from the project's root, from which conf names its folders, wherever the user stands.

    Without ``--namespaces`` the tasks run that the case has.
    """
    from graft.adapters.tasks_of_case import tasks_of_case

    project = click.get_current_context().obj.project_path
    os.chdir(project)
    if not options["namespaces"]:
        options["namespaces"] = tasks_of_case(project, options["env"])
    return kedro_run.callback(**options) if kedro_run.callback else None


cli.add_command(
    click.Command(
        name="run",
        params=kedro_run.params,
        callback=speak_plainly(run_at_root),
        help="Run a pipeline of a case: from raw images to a registered model.",
    )
)


@cli.group()
def case() -> None:
    """Cases: a data set and what is wanted of it, as an overlay in conf/."""


@case.command(name="create")
@click.argument("name")
@click.option("--data", required=True, type=click.Path(path_type=str), help="The folder of images.")
@click.option("--task", default=None, help="The task; recognised from the folder when left out.")
@click.option("--no-dvc", is_flag=True, help="Do not put the data under DVC.")
@click.pass_obj
@speak_plainly
def create_case(metadata: Any, name: str, data: str, task: str | None, no_dvc: bool) -> None:
    """Look at a folder, write its overlay, and bring its data under DVC."""
    from pathlib import Path

    from graft.adapters.case import create_case as create

    create(Path(metadata.project_path), name, Path(data), task, track=not no_dvc, say=click.echo)
