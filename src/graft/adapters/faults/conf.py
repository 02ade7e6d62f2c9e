"""What conf or the command line says and cannot be: unknown names, wrong types, broken YAML."""

import re
import traceback
from pathlib import Path

from kedro.config import MissingConfigException
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from graft.adapters.conf import cases_of
from graft.vision.errors import OptionsError, nearest

CORRECT = "correct the named keys in conf or in --params and run again"
READABLE = "correct the file that is named, or the one changed last; each holds `name: value` lines"
REWORDED = {
    r"value is None but type is not Optional": "holds nothing; leave it out or give it settings",
    r"Input should be a valid dictionary or instance of \w+": "must hold settings",
}


def explain_conf(chain: list[BaseException]) -> str | None:
    """The message, where Kedro refused a name, a setting or a file of conf."""
    return next((text for error in chain if (text := _explain(error))), None)


def _explain(error: BaseException) -> str | None:
    if isinstance(error, ParameterValidationError):
        return _wrong_parameters(str(error))
    if isinstance(error, MissingConfigException) and "does not exist" in str(error):
        return _unknown_case(error)
    said, frames = _first_lines(error), _frames(error)
    if isinstance(error, DatasetError) and frames[-1:] == ["kedro.io.core.from_config"]:
        return str(OptionsError(f"conf catalog: {said}", mend="correct the entry in conf"))
    if any(frame.startswith("kedro.config.") for frame in frames):
        return str(OptionsError(f"conf cannot be read: {said}", mend=READABLE))
    if _is_selection(error, frames):
        return str(OptionsError(said, mend="see `kedro registry list` and `kedro run --help`"))
    return None


def _is_selection(error: BaseException, frames: list[str]) -> bool:
    """Whether Kedro did not find the pipelines, nodes, tags or runner that the user named."""
    if isinstance(error, ValueError):
        asked = "kedro.pipeline.pipeline.filter" in frames
        return asked or frames[-1:] == ["kedro.framework.session.session.run"]
    called = frames[-2:] == ["kedro.framework.cli.project.run", "kedro.utils.load_obj"]
    return called and isinstance(error, AttributeError | ImportError)


def _frames(error: BaseException) -> list[str]:
    """``module.function`` of each frame, the one that raised last."""
    walked = traceback.walk_tb(error.__traceback__)
    return [f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}" for frame, _ in walked]


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _unknown_case(error: BaseException) -> str:
    folder = Path(str(error).rpartition(": ")[2])
    known = cases_of(folder.parent)
    return str(
        OptionsError(
            f"no case {folder.name!r}{nearest(folder.name, known)}; {folder} is not a folder",
            allowed=", ".join(known),
            mend=f"correct --env, or make it with `kedro case create {folder.name} --data PATH`",
        )
    )


def _wrong_parameters(said: str) -> str:
    """Kedro hands on pydantic's report as text; here it is told as the options tell theirs."""
    faults: list[str] = []
    for block in re.split(r"^- Parameter ", said, flags=re.MULTILINE)[1:]:
        name, _, report = block.partition("': ")
        name = name.strip("'")
        lines = report.strip().splitlines()
        told = _told(name, lines[1:]) if len(lines) > 1 else []
        faults += told or [f"{name}: {lines[0] if lines else 'cannot be used'}"]
    text = "; ".join(faults)
    for theirs, ours in REWORDED.items():
        text = re.sub(theirs, ours, text)
    return str(OptionsError(f"parameters: {text}", mend=CORRECT))


def _told(name: str, lines: list[str]) -> list[str]:
    """Place and fault from pydantic's lines: a place, its fault indented, an address."""
    told, place = [], name
    for line in lines:
        if line.startswith("    For further"):
            place = name
        elif line.startswith(" "):
            told.append(f"{place}: {_fault(line.strip())}")
        else:
            place = f"{name}.{line.strip()}"
    return told


def _fault(line: str) -> str:
    """The sentence without pydantic's bookkeeping; a short value found stays."""
    found = re.search(r" \[type=\w+, input_value=(.*), input_type=\w+\]$", line)
    fault = line[: found.start()] if found else line
    short = found is not None and not found[1].startswith(("{", "["))
    return fault.removeprefix("Value error, ") + (f", found {found[1]}" if found and short else "")
