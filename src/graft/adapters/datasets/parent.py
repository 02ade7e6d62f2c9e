"""The standing model that a run retrains, by the name that ``--params parent=`` gave."""

import logging
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from graft.vision.errors import OptionsError

log = logging.getLogger("graft")


class ParentDataset(AbstractDataset[NoReturn, Any]):
    """Loads the model that ``parent`` names, or None where it is of another task or not named.

    What an alias names is decided once for a run, by whoever asks first.

    Args:
        task: whose parent is asked for.
        parent: ``CASE-TASK/VERSION`` or ``CASE-TASK@ALIAS``.
        keeping: the folder where a parent may lie that no registry is asked for.
    """

    def __init__(
        self,
        task: str,
        keeping: str,
        parent: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.task, self.parent, self.keeping = task, parent, Path(keeping)
        self.metadata = metadata
        self._found: Any = None

    def load(self) -> Any:
        """A `graft.vision.contenders.parents.Parent`, whose parts are read when asked for.

        Raises `RegistryError` when there is no such version.
        """
        if self.parent is None or task_of(self.parent) != self.task:
            return None
        if self._found is None:
            from graft.adapters.lineage.parents import kept_parent, registered_parent

            self._found = kept_parent(self.keeping, self.parent) or registered_parent(self.parent)
            log.info("parent: %s", self._found.name)
        return self._found

    def save(self, data: NoReturn) -> None:
        """Refuse: parents are registered models."""
        raise DatasetError("a parent is registered by a run of its own")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"task": self.task, "parent": self.parent}


def task_of(parent: object) -> str:
    """The task of a model by the name that a command gave for it.

    Raises `OptionsError` for what names no version of a model of a task.
    """
    from graft.adapters.registry import NAME
    from graft.vision.tasks import TASKS

    found = NAME.fullmatch(str(parent))
    case, _, task = (found["name"] if found else "").rpartition("-")
    if not found or not (found["alias"] or found["version"]) or not case or task not in TASKS:
        raise OptionsError(
            "parameters: parent",
            found=repr(parent),
            allowed=f"CASE-TASK/VERSION or CASE-TASK@ALIAS, TASK one of {', '.join(TASKS)}",
            mend="name a registered version; `mlflow ui` shows which there are",
        )
    return task
