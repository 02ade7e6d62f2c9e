"""What conf may say: every setting has its default in base, and an overlay names only those."""

from pathlib import Path
from typing import Any

import yaml
from kedro.framework.hooks import hook_impl

from graft.vision.errors import OptionsError, nearest

GLOBALS = {"case", "raw"}
PARENT = "parent"
"""What a command alone may set, by ``--params``: the model that a run retrains."""


class ParametersHook:
    """Refuses settings that no task has, before any pipeline is built.

    Inside a block its options refuse unknown keys; a misspelt block would be passed over.
    """

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Compare what conf says with what base knows."""
        base = Path(context.project_path) / "conf" / "base" / "parameters"
        check_keys("globals.yml", context.config_loader["globals"], dict.fromkeys(GLOBALS))
        said, runtime = context.config_loader["parameters"], context.config_loader.runtime_params
        if PARENT in (runtime or {}):  # of a run and of no case: conf cannot name it
            from graft.adapters.datasets.parent import task_of

            task_of(runtime[PARENT])
            said = {name: value for name, value in said.items() if name != PARENT}
        check_parameters(said, read_base(base))


def read_base(folder: Path) -> dict[str, Any]:
    """Every setting with its default."""
    settings: dict[str, Any] = {}
    for file in sorted(folder.rglob("*.yml")):
        settings |= yaml.safe_load(file.read_text()) or {}
    return settings


def check_parameters(said: dict[str, Any], known: dict[str, Any]) -> None:
    """Raise `OptionsError` for a name that base does not have, or a seed that is no number."""
    check_keys("parameters", said, known)
    for task, block in said.items():
        if not isinstance(known[task], dict):
            continue
        if not isinstance(block, dict):
            raise OptionsError(f"parameters: {task} must hold settings", found=repr(block))
        check_keys(f"parameters: {task}", block, known[task])
        seed = block.get("seed")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise OptionsError(f"parameters: {task}.seed", found=repr(seed), allowed="0, 1, 2, ...")


def check_keys(where: str, said: dict[str, Any], known: dict[str, Any]) -> None:
    """Raise `OptionsError` for the first unknown key, with the nearest known one."""
    for key in said:
        if key not in known:
            raise OptionsError(
                f"{where}: unknown key {key!r}{nearest(str(key), known)}",
                allowed=", ".join(sorted(known)),
                mend="correct the key in conf and run again",
            )
