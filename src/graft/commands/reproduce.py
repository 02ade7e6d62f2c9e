"""`kedro model reproduce`: a version run again from its record."""

import json
import sys
from typing import Any

import click
import yaml

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("model", metavar="MODEL/version")
@click.option("--set", "changed", multiple=True, metavar="NAME=VALUE", help="Change a parameter.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def reproduce(metadata: Any, model: str, changed: tuple[str, ...], as_json: bool) -> None:
    """Run a version again from its record, in a clean checkout, and compare it stage by stage.

    Reports whether all is identical, or the first stage that differs; on a machine of another
    class (device, threads, instruction set, torch) scores are compared by tolerance. Exit code 0
    when identical or within that tolerance.
    """
    from graft.adapters.lineage.reading import read_lineage
    from graft.adapters.lineage.reproduce import DIFFERENT, reproduction_text
    from graft.adapters.lineage.reproduce import reproduce as run_again
    from graft.adapters.lineage.versions import open_registry, version_of

    project = open_registry(metadata.project_path, model)
    record = read_lineage(version_of(model), project)
    pairs = (each.partition("=") for each in changed)
    overrides = {name: yaml.safe_load(value) for name, _, value in pairs}
    found = run_again(project, record, overrides, lambda line: click.echo(line, err=True))
    click.echo(json.dumps(found, indent=2) if as_json else reproduction_text(found))
    sys.exit(1 if found["result"] == DIFFERENT else 0)
