"""`kedro case create`: from a folder to an overlay in conf/ and data under DVC."""

import re
from pathlib import Path
from typing import Any

import yaml

from graft.adapters.atomic import atomic_folder
from graft.adapters.bringing import Say, bring, put_under_dvc
from graft.adapters.tasks_of_case import tasks_of_case
from graft.vision.data.sources.recognise import Recognition, recognise
from graft.vision.errors import DataError, OptionsError
from graft.vision.tasks import TASK_BY_TRUTH, TASKS

RESERVED = {"base", "local"}


def create_case(
    project: Path, name: str, data: Path, task: str | None, *, track: bool, say: Say
) -> None:
    """Recognise the folder, link the data, write ``conf/<name>``, put the data under DVC.

    An overlay that is already there is kept as it is, so that the cases that ship can be given
    their data. Raises `OptionsError` for a name that cannot be used and `DataError` for a folder
    that cannot be read or recognised.
    """
    _check_name(name)
    if not data.is_dir():
        raise DataError(
            f"--data {data} is not a folder", mend="give the folder that holds the images"
        )
    if task is not None and task not in TASKS:
        raise OptionsError(
            f"task {task!r} cannot be run", allowed=sorted(TASKS), mend="choose with --task"
        )
    found = recognise(data, next((t for t, n in TASK_BY_TRUTH.items() if n == task), None))
    chosen = task or TASK_BY_TRUTH.get(found.truth)
    if chosen is None:
        raise OptionsError(
            f"{data} holds {found.truth}, from which no task learns", allowed=sorted(TASK_BY_TRUTH)
        )
    _tell(found, data, say)
    raw = project / "data/01_raw" / name
    shared = bring(data, raw, say)
    _write_overlay(project / "conf" / name, name, data, chosen, found, say)
    if track:
        tasks = tasks_of_case(project, name)
        put_under_dvc(project, name, tasks, raw, shared=shared, say=say)
    say(f"\nnext: kedro run --env {name}")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or name in RESERVED:
        raise OptionsError(
            f"{name!r} cannot name a case",
            allowed=f"small letters, digits and _; not {', '.join(sorted(RESERVED))}",
            mend="choose another name",
        )


def _tell(found: Recognition, data: Path, say: Say) -> None:
    say(f"{data}: layout {found.layout!r}, truth: {found.truth}")
    for sentence in found.found:
        say(f"  found: {sentence}")
    for sentence in found.doubts:
        say(f"  doubt: {sentence}")


def _write_overlay(
    folder: Path, name: str, data: Path, task: str, found: Recognition, say: Say
) -> None:
    if (folder / "globals.yml").exists():
        say(f"overlay: {folder} is already there and is kept")
        return
    with atomic_folder(folder) as part:
        (part / "globals.yml").write_text(
            f"# Case {name}: data from {data.name}/, layout {found.layout!r}.\n"
            f"# Licence: not stated here; write it down before you share a model.\n"
            f"case: {name}\nraw: data/01_raw/{name}\n"
        )
        parameters = part / "parameters" / f"{task}.yml"
        parameters.parent.mkdir()
        parameters.write_text(_parameters(task, found))
    say(f"overlay: {folder} written; read it, it is short")


def _parameters(task: str, found: Recognition) -> str:
    """The overlay's parameters: only what differs from base, each with its reason."""
    block: dict[str, Any] = {task: {"ingestion": {"source": found.options}}}
    text = yaml.safe_dump(block, sort_keys=False, allow_unicode=True)
    notes = [f"# found: {sentence}" for sentence in found.found]
    doubts = [f"# doubt: {sentence}" for sentence in found.doubts]
    hints = [
        "# Everything not named here is as in conf/base/parameters. Often worth setting:",
        f"# {task}.augmentation.preset: natural | traffic_sign | radiology | microscopy | none",
        f"# {task}.backbone.image_size_px: smaller is faster",
        f"# {task}.fine_tuning.budget_s: wall-clock limit of fine-tuning",
    ]
    return "\n".join([*notes, *doubts, text, *hints]) + "\n"
