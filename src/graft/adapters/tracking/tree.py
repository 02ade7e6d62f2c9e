"""Git's own digest of a working tree, as it stands and as a commit with a patch gives it again."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graft.adapters.tracking.difference import Git, apart
from graft.adapters.tracking.version import UNKNOWN

NO_DIFF = "none"
APPLY = ("--whitespace=nowarn", "--allow-empty", "-")


def top_of(project: Path) -> Path | None:
    """The root of the repository that the project lies in; None outside one."""
    said = Git(project)("rev-parse", "--show-toplevel")
    return Path(os.fsdecode(said.rstrip(b"\n"))) if said else None


def working_tree(project: Path, diff: str) -> str:
    """Git's name of the tree as it stands, untracked files included, ignored ones not.

    It is read from the files themselves, so that it can tell whether commit and patch give them
    again. Files that the patch says it left out count as the commit has them.
    """
    top = top_of(project)
    if top is None:
        return UNKNOWN
    with _scratch_index(top) as git:
        if git("read-tree", "-m", "HEAD") is None:
            return UNKNOWN
        spared = [f":(top,exclude,literal){name}" for name in _left_out(diff)]
        if git("add", "--all", "--", ":(top)", *spared) is None:
            return UNKNOWN
        return _written(git)


def rebuilt_tree(project: Path, commit: str, diff: str) -> str | None:
    """Git's name of the tree of a commit with a patch on it; None where that cannot be had."""
    top = top_of(project)
    if top is None:
        return None
    with _scratch_index(top) as git:
        if git("read-tree", commit) is None:
            return None
        patch = diff.encode()
        if diff and git("apply", "--cached", *APPLY, feed=patch) is None:
            return None
        return _written(git)


def commit_exists(project: Path, commit: str) -> bool:
    """Whether the repository holds this commit."""
    return Git(project)("cat-file", "-e", f"{commit}^{{commit}}") is not None


def committed_since(project: Path, tree: str, commit: str) -> str | None:
    """The first commit made since this one that holds exactly this tree, on whatever branch."""
    git, lines = Git(project), ("log", "--all", "--reverse", "--format=%T %H")
    said = git(*lines, f"^{commit}") or b""
    return next((c for t, c in map(str.split, said.decode().splitlines()) if t == tree), None)


def file_at(project: Path, commit: str, name: str) -> bytes | None:
    """A file of the project as a commit has it."""
    return Git(project)("show", f"{commit}:./{name}")


def check_out(project: Path, commit: str, diff: str, target: Path) -> bool:
    """A clone at a commit with a patch on it; returns whether that could be made."""
    top = top_of(project)
    if top is None:
        return False
    clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(top), str(target)]
    if subprocess.run(clone, capture_output=True).returncode != 0:
        return False
    git = Git(target)
    if git("checkout", "--quiet", "--detach", commit) is None:
        return False
    return not diff or git("apply", *APPLY, feed=diff.encode()) is not None


def _left_out(diff: str) -> list[str]:
    return re.findall(r"^# left out: (.+) \([^()]*\)$", diff, re.MULTILINE)


def _written(git: Git) -> str:
    return (git("write-tree") or b"").decode().strip() or UNKNOWN


@contextmanager
def _scratch_index(top: Path) -> Iterator[Git]:
    """Git with an index and new objects of its own; the repository is only read."""
    with tempfile.TemporaryDirectory() as scratch:
        yield apart(top, Path(scratch))
