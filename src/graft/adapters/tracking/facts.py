"""What a run must be able to show later: code, lock, data version, machine, command."""

import hashlib
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from graft.adapters.layers import LOCK
from graft.adapters.tracking.difference import Git, uncommitted_diff
from graft.adapters.tracking.tree import NO_DIFF, working_tree
from graft.adapters.tracking.version import UNKNOWN, data_version

__all__ = ["data_version", "device_facts", "run_facts", "tree_facts", "uncommitted_diff"]

TREE, DIFF = "git.tree", "git.diff_sha256"


def code_facts(project: Path) -> dict[str, str]:
    """Commit, and whether the tree differs from it; ``unknown`` outside a repository."""
    git = Git(project)
    commit = (git("rev-parse", "--verify", "--quiet", "HEAD") or b"").decode().strip()
    status = git("status", "--porcelain")
    dirty = UNKNOWN if status is None else str(bool(status)).lower()
    return {"git.commit": commit or UNKNOWN, "git.dirty": dirty}


def tree_facts(project: Path, diff: str) -> dict[str, str]:
    """Git's name of the tree as it stands, and the SHA-256 of what it adds to its commit."""
    digest = hashlib.sha256(diff.encode()).hexdigest() if diff else NO_DIFF
    return {TREE: working_tree(project, diff), DIFF: digest}


def lock_facts(project: Path) -> dict[str, str]:
    """SHA-256 of the lock file, and what is installed in another version than it pins."""
    lock = project / LOCK
    if not lock.is_file():
        return {"lock.sha256": UNKNOWN}
    data = lock.read_bytes()
    differs = "; ".join(_unlike_lock(data.decode())) or "nothing"
    return {"lock.sha256": hashlib.sha256(data).hexdigest(), "lock.differs": differs[:5000]}


def _unlike_lock(text: str) -> list[str]:
    """A package may be pinned once per version of Python; a build's ``+local`` part is its own."""
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.MULTILINE):
        pinned.setdefault(name, set()).add(version)
    installed = _installed()
    return [
        f"{name} {installed[name]} for {' or '.join(sorted(versions))}"
        for name, versions in pinned.items()
        if name in installed and installed[name].partition("+")[0] not in versions
    ]


def _installed() -> dict[str, str]:
    """Version by name, as the folder names of all that is installed say: to parse the metadata of
    hundreds of packages, as importlib does for their names, takes a hundred times as long."""
    found: dict[str, str] = {}
    for folder in reversed(sys.path):  # what comes first on the path is what is imported
        for place in Path(folder).glob("*.dist-info"):
            name, _, version = place.stem.partition("-")
            found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def command_facts() -> dict[str, str]:
    """The command as typed."""
    return {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])}


def machine_facts() -> dict[str, str]:
    """Processor, cores and system of this machine."""
    record = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }
    return {f"machine.{key}": str(value) for key, value in record.items()}


def device_facts() -> dict[str, str]:
    """Device, threads, instruction set and versions, as PyTorch knows them: it is imported."""
    from graft.vision.runtime import machine_record

    return {f"machine.{key}": str(value) for key, value in machine_record().items()}


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # no Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine() or UNKNOWN


def run_facts(project: Path, raw: Path) -> dict[str, str]:
    """What is known as a run begins, as its tags; the data is looked at again."""
    data_version.cache_clear()
    parts: list[dict[str, Any]] = [
        code_facts(project),
        lock_facts(project),
        data_version(project, raw),
        command_facts(),
        machine_facts(),
    ]
    return {key: value for part in parts for key, value in part.items()}
