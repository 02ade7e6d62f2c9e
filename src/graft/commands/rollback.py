"""`kedro model rollback`."""

from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("name", metavar="MODEL[/VERSION]")
@click.option("--override", metavar="REASON", help="Let other predictions pass; recorded.")
@click.option("--json", "as_json", is_flag=True, help="What was done as JSON.")
@click.pass_obj
@speak_plainly
def rollback(metadata: Any, name: str, override: str | None, as_json: bool) -> None:
    """Bring back the champion before this one, with bit-identical predictions.

    A second time goes two back. Works when the standing one is deleted or damaged. Where another
    hand moved the alias in MLflow, it goes back to the champion of the ledger.
    """
    from pathlib import Path

    from graft.adapters.promotion.case import open_case
    from graft.adapters.promotion.rolling_back import roll_back
    from graft.commands.decisions import show

    case = open_case(Path(metadata.project_path), name)
    found = roll_back(case, name, override)
    show(found, _lines(found), as_json=as_json, held=True)


def _lines(found: dict[str, Any]) -> list[str]:
    from graft.commands.decisions import entry_line

    if found["entry"] is None:
        return ["Another moved the champion meanwhile; nothing was rolled back."]
    said = f"{found['model']}/{found['version']} is champion again, in place of version"
    return [
        f"{said} {found['replaced']}.",
        f"predictions: {found['predictions']}",
        *entry_line(found),
    ]
