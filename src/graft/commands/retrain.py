"""`kedro retrain`: what a scheduler calls."""

from collections.abc import Collection
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.option("--env", "case", metavar="CASE", help="The case; the embedded sample if left out.")
@click.option("--namespaces", metavar="TASK[,TASK]", help="Only these of the case's tasks.")
@click.option("--accept", metavar="REASON", help="Take a held batch in nonetheless; recorded.")
@click.option("--json", "as_json", is_flag=True, help="The decisions as JSON on stdout.")
@click.option(
    "--print-cron", metavar="WHEN", help='A crontab line, e.g. "0 3 * * *"; runs nothing.'
)
@click.option("--print-systemd", metavar="WHEN", help="A service and a timer; runs nothing.")
@click.pass_obj
@speak_plainly
def retrain(
    metadata: Any,
    case: str | None,
    namespaces: str | None,
    accept: str | None,
    as_json: bool,
    print_cron: str | None,
    print_systemd: str | None,
) -> None:
    """Train anew where there is a reason, from the champion's weights, and put it to the rule.

    Reasons: new or changed images and truths, changed conf, code or lock, age, drift, a score that
    has fallen on newly labelled images. Without one nothing happens.

    Exit code 0: a champion stands, or another scheduler is at it; 3: the rule refused what was
    trained; 4: the batch is suspicious and held; 5: drift, and no new labels; 1: a fault.
    """
    from pathlib import Path

    from graft.adapters.retraining.schedules import cron_line, systemd_units

    project = Path(metadata.project_path)
    if print_cron is not None:
        click.echo(cron_line(project, case, print_cron))
    elif print_systemd is not None:
        for name, text in systemd_units(project, case, print_systemd).items():
            click.echo(f"# {name}\n{text}")
    else:
        _retrain(project, case, namespaces, accept, as_json=as_json)


def _retrain(
    project: Any, case: str | None, namespaces: str | None, accept: str | None, *, as_json: bool
) -> None:
    import json
    import os
    import sys

    from graft.adapters.retraining.exit_codes import exit_code
    from graft.adapters.retraining.retraining import Call, retrain
    from graft.adapters.tasks_of_case import DEFAULT_CASE, tasks_of_case

    os.chdir(project)  # conf names its folders from the project's root
    name = case or DEFAULT_CASE
    tasks = tasks_of_case(project, name)
    if namespaces is not None:
        tasks = _asked(namespaces, tasks, name)
    found = []
    try:
        for task in tasks:
            found.append(retrain(Call(project, name, task, accept)))
            if not as_json:
                click.echo("\n".join(_lines(found[-1])))
    finally:  # what was decided is told, though a later task has a fault
        if as_json and found:
            click.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    sys.exit(max(exit_code(each["outcome"]) for each in found))


def _asked(namespaces: str, tasks: Collection[str], case: str) -> list[str]:
    """The tasks that are named, each once. Raises `click.UsageError` for one that the case lacks:
    whoever calls again gets the same."""
    from graft.vision.errors import OptionsError, nearest

    named = list(dict.fromkeys(part.strip() for part in namespaces.split(",")))
    for task in named:
        if task not in tasks:
            what = f"--namespaces: the case {case} has no task {task!r}{nearest(task, tasks)}"
            raise click.UsageError(str(OptionsError(what, allowed=", ".join(tasks))))
    return named


def _lines(found: dict[str, Any]) -> list[str]:
    from graft.commands.decisions import check_lines, entry_line, gain_line, score_lines

    decision = found["decision"] or {}
    lines = ["", f"{found['model']}: {found['outcome']}"]
    lines += [f"  reason: {reason['sentence']}" for reason in found["reasons"]]
    if decision.get("checks"):
        one, other = decision["challenger"], decision.get("champion") or "none"
        lines += [*score_lines(decision, one, other), *gain_line(decision), *check_lines(decision)]
    return [*lines, f"  {found['sentence']}", *entry_line(found)]
