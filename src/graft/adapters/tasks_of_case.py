"""Which tasks a case has: those of which its overlay has a parameter file."""

from pathlib import Path

from graft.vision.tasks import TASKS

DEFAULT_CASE = "street_scenes"
"""The embedded sample, which runs when no case is named."""


def tasks_of_case(project: Path, case: str | None) -> list[str]:
    """The tasks in the order of the table; all of them for an overlay that names none."""
    folder = Path(project) / "conf" / (case or DEFAULT_CASE) / "parameters"
    named = [task for task in TASKS if (folder / f"{task}.yml").is_file()]
    return named or list(TASKS)
