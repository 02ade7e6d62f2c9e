"""`kedro model audit`: every fact of a version, re-checked."""

import json
import sys
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("model", metavar="MODEL[@alias | /version]")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def audit(metadata: Any, model: str, as_json: bool) -> None:
    """Re-check every fact of a registered version: data, code, configuration, weights, bytes.

    Each fact holds, differs or is unknown. Exit code 0 only when all of them hold.
    """
    from graft.adapters.lineage.audit import audit_version, rows_text
    from graft.adapters.lineage.versions import open_registry, version_of

    project = open_registry(metadata.project_path, model)
    report = audit_version(project, version_of(model))
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else rows_text(report))
    sys.exit(0 if report["holds"] else 1)
