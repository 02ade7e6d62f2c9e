"""Conf as a run of a case reads it: base with the overlay laid on it."""

from pathlib import Path
from typing import Any


def open_conf(folder: Path, case: str | None = None, overrides: Any = None) -> Any:
    """Kedro's loader of a conf folder, by the settings of this project.

    Its ``parameters``, ``mlflow`` and ``globals`` are mappings.

    Args:
        case: the overlay; that of the embedded sample when None.
        overrides: what a command set by ``--params``.
    """
    from kedro.config import OmegaConfigLoader

    from graft.settings import CONFIG_LOADER_ARGS

    return OmegaConfigLoader(
        str(folder),
        env=case,
        runtime_params=overrides,
        **CONFIG_LOADER_ARGS,  # type: ignore[arg-type]
    )
