"""The project's commands beside Kedro's: `kedro case`, `kedro model`, `kedro retrain`, and a
`kedro run` that speaks plainly."""

import os
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from graft.commands.model import model
from graft.commands.packing import pack, unpack
from graft.commands.retrain import retrain
from graft.commands.speaking import speak_plainly
from graft.commands.store import store


@click.group(name="graft")
def cli() -> None:
    """Commands of graft."""


cli.add_command(model)
cli.add_command(retrain)
cli.add_command(store)


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


case.add_command(pack)
case.add_command(unpack)


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
