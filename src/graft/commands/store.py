"""`kedro store`: what the stores by content hold, and giving back what nothing needs."""

import json
from pathlib import Path
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.group()
def store() -> None:
    """Stores by content: what they hold, and what of it nothing needs."""


@store.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def stat(metadata: Any, as_json: bool) -> None:
    """Of each store: arrays, bytes, bytes that no array uses, who needs it."""
    from graft.adapters.store_use import Stores, uses_of_cases

    project = Path(metadata.project_path)
    found = Stores(project, uses_of_cases(project)).stat()
    click.echo(json.dumps(found, indent=2) if as_json else _stat_text(found))


@store.command()
@click.option("--yes", is_flag=True, help="Do it. Without it, only say what would be removed.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Leave alone what was written to since: a run may be going on.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def prune(metadata: Any, yes: bool, idle_minutes: float, as_json: bool) -> None:
    """Remove arrays that no case and no champion names, and bytes that no array uses.

    All of it can be made again from the raw data, at the cost of the time it took. Readers may go
    on meanwhile; a store that is being written to is left as it is.
    """
    from graft.adapters.store_use import Stores, uses_of_cases, uses_of_champions

    project = Path(metadata.project_path)
    uses = [*uses_of_cases(project), *uses_of_champions(project)]
    told = Stores(project, uses).prune(60 * idle_minutes, remove=yes)
    click.echo(json.dumps(told, indent=2) if as_json else _prune_text(told, removed=yes))
    if any("fault" in row for row in told):
        raise SystemExit(1)


def _stat_text(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no store has been written to yet"
    head = f"{'store':14s}{'namespace':34s}{'arrays':>9s}{'MB':>10s}{'dead MB':>10s}  written (UTC)"
    lines = [head]
    for row in found:
        lines.append(
            f"{row['store']:14s}{row['namespace']:34s}{row['arrays']:9d}{row['bytes'] / 1e6:10.1f}"
            f"{row['dead_bytes'] / 1e6:10.1f}  {row['written'] or 'never'}"
        )
        rule = json.dumps(row["rule"]) if row["rule"] else "unknown"
        lines.append(f"{'':14s}rule: {rule}")
        lines.append(f"{'':14s}used by: {', '.join(row['used_by']) or 'nobody'}")
    return "\n".join(lines)


def _prune_text(told: list[dict[str, Any]], *, removed: bool) -> str:
    done = "removed" if removed else "would remove"
    lines = []
    for row in told:
        if "fault" in row:
            lines.append(f"{row['store']} {row['namespace']}: left as it is: {row['fault']}")
        elif row["arrays"] or row["bytes"] or row["damaged"]:
            beside = f", {row['damaged']} of them damaged" if row["damaged"] else ""
            lines.append(
                f"{row['store']} {row['namespace']}: {done} {row['arrays']} arrays{beside}, "
                f"{row['bytes'] / 1e6:.1f} MB"
            )
    lines.append(f"{done} {sum(row['bytes'] for row in told) / 1e6:.1f} MB in all")
    return "\n".join(lines if removed else [*lines, "do it with: kedro store prune --yes"])
