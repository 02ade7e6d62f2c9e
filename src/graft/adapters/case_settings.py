"""``python -m graft.adapters.case_settings CASE TASK FILE``: what conf decides for it, as JSON.

It is what `dvc repro` compares: DVC cannot lay an overlay on base as Kedro does, and so could not
tell which settings of a case have changed.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from graft.adapters.atomic import atomic_file


def case_settings(project: Path, case: str, task: str) -> dict[str, Any]:
    """The parameters of a task with every default filled in, what the case is called (``case``),
    and where its data lies (``raw``).

    Raises `OptionsError` for what conf does not know.
    """
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    with KedroSession.create(project, env=case) as session:
        context = session.load_context()
        said = {name: context.params[name] for name in ("case", task)}
        return {**said, "raw": context.config_loader["globals"]["raw"]}


def main(case: str, task: str, file: str) -> int:
    """Write the file; returns the exit status."""
    from graft.adapters.faults import readable

    # It tells an error that is raised as well.
    logging.getLogger("kedro.validation.parameter_validator").setLevel(logging.CRITICAL)
    try:
        settings = case_settings(Path.cwd(), case, task)
        text = json.dumps(settings, indent=2, sort_keys=True, default=_plain)
        with atomic_file(Path(file)) as part:
            part.write_text(text + "\n")
    except Exception as error:
        message = readable(error)
        if message is None:
            raise
        print(f"Error: {message}", file=sys.stderr)
        return 1
    return 0


def _plain(options: Any) -> Any:
    """Kedro has made options of the blocks that nodes ask for as such."""
    return options.model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
