"""`kedro model used`: what saw an image."""

import json
from pathlib import Path
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def used(metadata: Any, image: str, as_json: bool) -> None:
    """Name every version, split and store that saw IMAGE, and its near copies apart.

    IMAGE is a file, its path below the raw folder, or its SHA-256 (8 digits or more).
    """
    from graft.adapters.lineage.used import used as find_uses
    from graft.adapters.lineage.used import used_text
    from graft.adapters.lineage.versions import open_registry

    here = Path(image).absolute()  # as it is meant where the user stands
    project = open_registry(metadata.project_path)
    found = find_uses(project, str(here) if here.is_file() else image)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else used_text(found))
