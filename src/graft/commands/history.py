"""`kedro model history`."""

from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("name", metavar="MODEL")
@click.option("--at", metavar="TIME", help="ISO date or time, UTC: what was champion then.")
@click.option("--json", "as_json", is_flag=True, help="The entries as JSON.")
@click.pass_obj
@speak_plainly
def history(metadata: Any, name: str, at: str | None, as_json: bool) -> None:
    """Every promotion, refusal and rollback, and what was champion when.

    Exit code 1: the ledger was altered, and the line is named; 3: another hand moved the alias.
    """
    from pathlib import Path

    from graft.adapters.promotion.case import open_case
    from graft.adapters.promotion.telling import tell_history
    from graft.commands.decisions import show

    case = open_case(Path(metadata.project_path), name)
    found = tell_history(case, at)
    show(found, _lines(found), as_json=as_json, held=not found["doubts"])


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [_line(entry) for entry in found["entries"]] or ["no entry yet"]
    when = f"at {found['at']}" if found["at"] else "now"
    standing = f"version {found['champion']}" if found["champion"] else "none"
    return [*lines, "", f"champion {when}: {standing}", *found["doubts"]]


def _line(entry: dict[str, Any]) -> str:
    state = "" if entry["state"] == "done" else f" ({entry['state']})"
    place = f" in place of {entry['replaced']}" if entry["replaced"] else ""
    return (
        f"{entry['index']:>4}  {entry['time'][:19].replace('T', ' ')}  {entry['actor']}  "
        f"{entry['action']}{state} version {entry['version']}{place}: {entry['reason']}"
    )
