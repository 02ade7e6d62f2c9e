"""A case's data, brought into the project: linked where the file system can, and under DVC."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml
from dvc_objects.fs.system import reflink

from graft.adapters.atomic import atomic_file, atomic_folder
from graft.vision.errors import DataError

Say = Callable[[str], None]
JUNK = ("thumbs.db", "desktop.ini", "dvc.yaml", "dvc.lock")
"""Never data; DVC's own files would be taken for the project's."""


def bring(data: Path, raw: Path, say: Say) -> bool:
    """Clone, link or copy each file below ``raw``; the folder appears whole or not at all.

    A clone shares the bytes until one side changes; a link is the same file; only where neither
    can be made, the bytes are copied. Links to folders are followed. Hidden and special files are
    left out, and counted.

    Returns whether files of ``raw`` are the very files of ``data``.

    Raises:
        DataError: when ``raw`` is there already, or lies inside ``data``.
    """
    if raw.resolve() == data.resolve():
        return False
    if raw.exists():
        raise DataError(
            f"{raw} is already there",
            mend="choose another case name, or remove that folder first if its data is not needed",
        )
    if raw.resolve().is_relative_to(data.resolve()):
        raise DataError(f"{data} holds the project itself", mend="give the folder of images alone")
    ways: Counter[str] = Counter()
    with atomic_folder(raw) as part:
        for source in _walk(data):
            ways[_place(source, part / source.relative_to(data))] += 1
    said = ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))
    say(f"data: {raw}: {said}")
    return ways["linked"] > 0


def put_under_dvc(
    project: Path, name: str, tasks: Sequence[str], raw: Path, *, shared: bool, say: Say
) -> None:
    """State the data's version in a ``.dvc`` file, and list the case's tasks for `dvc repro`.

    DVC makes what it stores read-only. Where ``raw`` holds the person's own files, which have one
    mode wherever they are linked from, their bytes are therefore digested and not stored yet.
    """
    target = str(raw.relative_to(project))
    command = [sys.executable, "-m", "dvc", "add", target]
    command += ["--no-commit"] if shared else []
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if done.returncode != 0:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        say(f"dvc: could not add {target}: {' '.join(reason) or done.stderr.strip()}")
        say("     the case runs all the same; its data version will read 'unknown'")
        return
    say(f"dvc: {target}.dvc states the version; commit it")
    if shared:
        say("     your files are linked and stay as they are; DVC stores a copy of its own with")
        say(f"     `dvc commit {target}.dvc` (before `dvc push`), or when `dvc repro` needs it")
    for task in tasks:
        _list(project / "conf" / "cases.yml", name, task)


def _walk(data: Path) -> Iterator[Path]:
    """Each file, links to folders followed unless they lead back; hidden folders passed over."""
    for folder, folders, names in os.walk(data, followlinks=True):
        folders[:] = [name for name in folders if not _is_junk(name) and _leads_on(folder, name)]
        yield from (Path(folder, name) for name in names)


def _leads_on(folder: str, name: str) -> bool:
    """False for a link to one of the folders that led here."""
    if not Path(folder, name).is_symlink():
        return True
    led_here = (Path(folder), *Path(folder).parents)
    return os.path.realpath(Path(folder, name)) not in map(os.path.realpath, led_here)


def _is_junk(name: str) -> bool:
    return name.startswith((".", "__")) or name.lower() in JUNK or name.endswith(".dvc")


def _place(source: Path, target: Path) -> str:
    """Give ``target`` the bytes of ``source``; returns how."""
    if _is_junk(source.name) or not source.is_file():
        return "left out (hidden or special)"
    target.parent.mkdir(parents=True, exist_ok=True)
    for way, make in (("cloned", reflink), ("linked", os.link)):
        try:
            make(os.path.realpath(source), str(target))
            return way
        except OSError:
            target.unlink(missing_ok=True)
    shutil.copy2(source, target)
    return "copied"


def _list(file: Path, name: str, task: str) -> None:
    """Add a line to the cases that `dvc repro` runs."""
    if not file.is_file():
        return
    text, key = file.read_text(), f"{name}-{task}"
    if key not in (yaml.safe_load(text)["cases"] or {}):
        with atomic_file(file) as part:
            part.write_text(f"{text.rstrip()}\n  {key}: {{case: {name}, task: {task}}}\n")
