"""The pure room stays pure, and only the table of tasks knows a task's name."""

import re
import subprocess
import sys
from pathlib import Path

from graft.vision.tasks import TASKS

GRAFT = Path(__file__).parents[2] / "src" / "graft"
FORMATS = GRAFT / "vision" / "data" / "sources"
WALK = """
import importlib, pkgutil, sys
import graft.vision
for found in pkgutil.walk_packages(graft.vision.__path__, "graft.vision."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"kedro", "mlflow", "dvc", "kedro_datasets"}))
"""


def test_vision__imports_no_framework() -> None:
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_code__names_no_task_outside_the_table() -> None:
    """Formats have a word of their own that is a task's name too: COCO's key ``segmentation``."""
    names = "|".join(TASKS)
    named = re.compile(rf"""\btask(\.name)?\s*(==|!=|in)\s*["'(\[{{]|["']({names})["']""")
    guilty = [
        f"{path.relative_to(GRAFT)}: {line.strip()}"
        for path in sorted(GRAFT.rglob("*.py"))
        if not path.is_relative_to(GRAFT / "vision" / "tasks")
        for line in path.read_text().splitlines()
        if (found := named.search(line)) and not line.strip().startswith("#")
        if not (path.parent == FORMATS and found.group(3) == "segmentation")
    ]
    assert guilty == []


def test_tasks__name_none_of_each_other() -> None:
    tasks = GRAFT / "vision" / "tasks"
    guilty = [
        path.relative_to(tasks).as_posix()
        for name in TASKS
        for path in sorted((tasks / name).rglob("*.py"))
        for other in TASKS.keys() - {name}
        if f"tasks.{other}" in path.read_text()
    ]
    assert guilty == []
