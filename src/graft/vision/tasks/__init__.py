"""THE TABLE: the only place where a task's name becomes a `Task`.

A row names the module of a task; it exposes ``TASK`` and ``TaskOptions``. Where a prediction's
words are more than plain text, its module ``answer`` says how a served model lays them out. Rows
are imported when asked for, so that listing the tasks costs nothing.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graft.vision.errors import OptionsError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from graft.vision.model import TrainedModel
    from graft.vision.options import TaskOptions
    from graft.vision.task import Task

TASKS = {
    "classification": "graft.vision.tasks.classification",
    "detection": "graft.vision.tasks.detection",
    "segmentation": "graft.vision.tasks.segmentation",
}
TASK_BY_TRUTH = {"classes": "classification", "boxes": "detection", "masks": "segmentation"}
"""The task that fits what a folder's annotators said, unless another is asked for."""
HUB_TAGS = {
    "classification": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
}
"""The Hugging Face hub's words for tasks; where it has none, ours is told."""


def choose_task(choice: Mapping[str, Any]) -> tuple["Task", "TaskOptions"]:
    """Turn ``{"name": task, **options}`` into the task and its strict options.

    Raises `OptionsError` for an unknown task or option, naming the nearest known one.
    """
    name = str(choice.get("name", ""))
    if name not in TASKS:
        raise OptionsError(
            f"task.name: unknown task {name!r}{nearest(name, TASKS)}",
            allowed=sorted(TASKS),
            mend="correct task.name in conf",
        )
    row = import_module(TASKS[name])
    options = {key: value for key, value in choice.items() if key != "name"}
    return row.TASK, row.TaskOptions.parse(options, f"task {name}")


def load_trained(folder: "Path") -> "TrainedModel":
    """Rebuild a trained model of any task from its folder; no file in it can run code."""
    from graft.vision.model import load_model, read_card

    card = read_card(folder)
    task, options = choose_task({"name": card.task, **card.task_options})
    return load_model(folder, task, options)


def answer_of(name: str) -> ModuleType | None:
    """How a served model of this task lays out its predictions; None: as they are.

    The module has ``COLUMNS`` (types by name), ``AnswerOptions`` (what a caller may ask for) and
    ``cells_of(prediction, options)`` (the columns' values).
    """
    module = f"{TASKS[name]}.answer"
    return import_module(module) if find_spec(module) else None
