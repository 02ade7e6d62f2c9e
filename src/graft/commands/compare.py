"""`kedro model compare`."""

from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("one", metavar="MODEL[@ALIAS|/VERSION]")
@click.argument("other", metavar="MODEL[@ALIAS|/VERSION]")
@click.option(
    "--again", is_flag=True, help="Judge the second by its registered bytes on the first's images."
)
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON.")
@click.pass_obj
@speak_plainly
def compare(metadata: Any, one: str, other: str, again: bool, as_json: bool) -> None:
    """Two versions of a model on the same test images, with an interval of the difference.

    Exit code 3: they cannot be compared, and what differs is named.
    """
    from pathlib import Path

    from graft.adapters.promotion.case import open_case
    from graft.adapters.promotion.promoting import compare_versions
    from graft.commands.decisions import show

    case = open_case(Path(metadata.project_path), one)
    found = compare_versions(case, one, other, again)
    show(found, _lines(found), as_json=as_json, held=found["compared"])


def _lines(found: dict[str, Any]) -> list[str]:
    from graft.commands.decisions import check_lines, gain_line, score_lines

    one, other = found["one"], found["other"]
    head = f"{one} beside {other}, {found['images']} test images in {found['units']} units"
    if found["compared"]:
        return [head, *score_lines(found, one, other), *gain_line(found), *check_lines(found)]
    failed = ", ".join(check["rule"] for check in found["checks"] if not check["held"])
    return [head, *check_lines(found), f"They are not compared: {failed}."]
