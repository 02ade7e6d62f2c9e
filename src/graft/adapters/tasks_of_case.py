"""Which tasks a case has: those of which its overlay has a parameter file."""

from pathlib import Path

from graft.vision.tasks import TASKS


def tasks_of_case(project: Path, case: str) -> list[str]:
    """The tasks in the order of the table; all of them for an overlay that names none."""
    folder = project / "conf" / case / "parameters"
    named = [task for task in TASKS if (folder / f"{task}.yml").is_file()]
    return named or list(TASKS)
