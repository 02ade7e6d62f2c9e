"""The project's commands beside Kedro's: `kedro case`, and a `kedro run` that speaks plainly."""

import functools
from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run


@click.group(name="graft")
def cli() -> None:
    """Commands of graft."""


def speak_plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error that is meant for the user as one message, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            message = readable(error)
            if message is None:
                raise
            raise click.ClickException(message) from error

    return wrapped


def readable(error: BaseException) -> str | None:
    """The message to show for an error, or None when it is a fault of graft itself."""
    from kedro.validation.exceptions import ParameterValidationError

    from graft.vision.errors import GraftError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GraftError | ParameterValidationError):
            return str(cause)
        if isinstance(cause, PermissionError):
            return f"no permission: {cause}; next: make the named path writable and run again."
        if isinstance(cause, OSError) and cause.errno == 28:
            return f"the disk is full: {cause}; next: free space and run again; nothing is lost."
        cause = cause.__cause__ or cause.__context__
    return None


cli.add_command(
    click.Command(
        name="run",
        params=kedro_run.params,
        callback=speak_plainly(kedro_run.callback or (lambda: None)),
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
