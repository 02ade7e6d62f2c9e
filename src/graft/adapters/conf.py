"""Conf as a run of a case reads it: base with the overlay laid on it."""

from pathlib import Path
from typing import Any

from graft.vision.errors import OptionsError, nearest


def cases_of(folder: Path) -> list[str]:
    """The cases of a conf folder: its overlays, sorted."""
    return sorted({file.parent.name for file in folder.glob("*/globals.yml")} - {"base"})


def check_case(folder: Path, case: str) -> None:
    """Raise `OptionsError` where a conf folder has no overlay of this name."""
    if case not in (known := cases_of(folder)):
        raise OptionsError(
            f"no case {case!r}{nearest(case, known)}",
            allowed=", ".join(known),
            mend=f"name one of these, or make it with `kedro case create {case} --data PATH`",
        )


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
