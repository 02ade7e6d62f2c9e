"""The pure room stays pure, and only the table of tasks knows a task's name."""

import re
import subprocess
import sys
from pathlib import Path

VISION = Path(__file__).parents[2] / "src" / "graft" / "vision"
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


def test_vision__names_no_task_outside_the_tasks() -> None:
    named = re.compile(
        r"""task(\.name)?\s*(==|!=|in)\s*["'(\[]|["'](classification|detection)["']"""
    )
    guilty = [
        f"{path.relative_to(VISION)}: {line.strip()}"
        for path in sorted(VISION.rglob("*.py"))
        if "tasks" not in path.parts
        for line in path.read_text().splitlines()
        if named.search(line) and not line.strip().startswith("#")
    ]
    assert guilty == []
