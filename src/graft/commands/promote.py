"""`kedro model promote`."""

from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("name", metavar="MODEL[/VERSION]")
@click.option("--override", metavar="REASON", help="Let uncommitted code pass; recorded.")
@click.option("--json", "as_json", is_flag=True, help="The decision as JSON.")
@click.pass_obj
@speak_plainly
def promote(metadata: Any, name: str, override: str | None, as_json: bool) -> None:
    """Make the challenger champion, if conf's rule allows it.

    Exit code 0: champion, or another was faster; 3: refused, with the rules that refuse it.
    """
    from pathlib import Path

    from graft.adapters.promotion.case import open_case
    from graft.adapters.promotion.outcomes import REFUSED
    from graft.adapters.promotion.promoting import promote as put_to_the_rule
    from graft.commands.decisions import show

    case = open_case(Path(metadata.project_path), name)
    found = put_to_the_rule(case, name, override)
    show(found, _lines(found), as_json=as_json, held=found["outcome"] != REFUSED)


def _lines(found: dict[str, Any]) -> list[str]:
    from graft.commands.decisions import check_lines, entry_line, gain_line, score_lines

    one, other = found["challenger"], found.get("champion") or "none"
    beside = f"beside the champion {other}" if found.get("champion") else "no champion stands"
    on = f", {found['images']} test images in {found['units']} units" if "images" in found else ""
    said = {
        "promoted": f"{one} is champion now.",
        "refused": f"{one} is refused by: {', '.join(found.get('refused_by', []))}.",
        "superseded": f"Another became champion meanwhile; {one} is not promoted.",
        "stands already": f"{one} is champion already; nothing to do.",
    }[found["outcome"]]
    if not found["checks"]:
        return [said]
    lines = [f"{one}, {beside}{on}", *score_lines(found, one, other), *gain_line(found)]
    return [*lines, *check_lines(found), said, *entry_line(found)]
