"""What a run must be able to show later: code, lock, data version, machine, command."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

UNKNOWN = "unknown"


def code_facts(project: Path) -> dict[str, str]:
    """Commit, and whether the tree differs from it; ``unknown`` outside a repository."""
    commit = _git(project, "rev-parse", "HEAD") or UNKNOWN
    status = _git(project, "status", "--porcelain")
    dirty = UNKNOWN if status is None else str(bool(status)).lower()
    return {"git.commit": commit, "git.dirty": dirty}


def uncommitted_diff(project: Path) -> str:
    """A patch from the commit to the tree as it is, untracked files included."""
    tracked = _git(project, "diff", "HEAD", "--binary") or ""
    untracked = (_git(project, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    added = [_new_file_patch(project, name) for name in untracked]
    return "".join([tracked + "\n" if tracked else "", *added])


def lock_facts(project: Path) -> dict[str, str]:
    """SHA-256 of the lock file."""
    lock = project / "requirements.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else UNKNOWN
    return {"lock.sha256": digest}


def data_version(project: Path, raw: Path) -> dict[str, str]:
    """What DVC states of the raw folder, from its pointer or from ``dvc.lock``."""
    path = raw if raw.is_absolute() else project / raw
    pointer = path.with_name(path.name + ".dvc")
    if pointer.is_file():
        out = yaml.safe_load(pointer.read_text())["outs"][0]
        return {"dvc.path": str(raw), "dvc.md5": str(out.get("md5", UNKNOWN))}
    lock = project / "dvc.lock"
    stages = yaml.safe_load(lock.read_text()).get("stages", {}) if lock.is_file() else {}
    for stage in stages.values():
        for out in stage.get("outs", []):
            if out["path"] == str(raw):
                return {"dvc.path": str(raw), "dvc.md5": str(out.get("md5", UNKNOWN))}
    return {"dvc.path": str(raw), "dvc.md5": UNKNOWN}


def command_facts() -> dict[str, str]:
    """The command as typed."""
    return {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])}


def machine_facts() -> dict[str, str]:
    """Device, threads, instruction set and versions of this machine."""
    from graft.vision.runtime import machine_record

    return {f"machine.{key}": str(value) for key, value in machine_record().items()}


def run_facts(project: Path, raw: Path) -> dict[str, str]:
    """All of the above, as tags of a run."""
    parts: list[dict[str, Any]] = [
        code_facts(project),
        lock_facts(project),
        data_version(project, raw),
        command_facts(),
        machine_facts(),
    ]
    return {key: value for part in parts for key, value in part.items()}


def _new_file_patch(project: Path, name: str) -> str:
    # --no-index exits with 1 when the files differ, which here they always do.
    return _git(project, "diff", "--binary", "--no-index", "/dev/null", name, ok=(0, 1)) or ""


def _git(project: Path, *arguments: str, ok: tuple[int, ...] = (0,)) -> str | None:
    if shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", *arguments], cwd=project, capture_output=True, text=True, errors="replace"
    )
    return (
        done.stdout.strip("\n") + ("\n" if "diff" in arguments and done.stdout else "")
        if (done.returncode in ok)
        else None
    )
