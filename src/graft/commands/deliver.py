"""`kedro model deliver`."""

import sys
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.option("--env", "case", metavar="CASE", help="The case whose mlflow.yml names the store.")
@click.option("--moved", is_flag=True, help="Also what was meant for another address.")
@click.pass_obj
@speak_plainly
def deliver(metadata: Any, case: str | None, moved: bool) -> None:
    """Send what earlier runs recorded while MLflow did not answer.

    Every record is sent once, however often this is called or interrupted; any other command that
    uses MLflow does the same as it begins. Exit code 1: something still waits, and why is said.
    """
    from pathlib import Path

    from graft.adapters.tracking.waiting import deliver_for

    found = deliver_for(Path(metadata.project_path), case, moved=moved)
    if not found.told and not found.waiting:
        click.echo("nothing waits")
    sys.exit(1 if found.waiting else 0)
