"""What the working tree adds to its commit, as one patch that ``git apply`` takes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FILE_BYTES_MAX = 1_000_000
"""A larger file is named at the head of the patch and left out."""
UNTRACKED_BYTES_MAX = 10_000_000
"""Of all untracked files together: what comes after is named and left out too."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

# Whatever the person's own configuration says, the patch reads the same and can be applied.
PLAIN = ("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
PREFIXES = ("--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True)
class Git:
    """Git in one folder; ``settings`` go before the environment's own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, feed: bytes = b"") -> bytes | None:
        """What a command says, or None where it fails or there is no Git."""
        if shutil.which("git") is None:
            return None
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **self.settings}
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, input=feed, capture_output=True
        )
        return done.stdout if done.returncode == 0 else None

    def names(self, *arguments: str) -> list[str]:
        """The names that a command lists between null characters."""
        return [os.fsdecode(name) for name in (self(*arguments) or b"").split(b"\0") if name]


def uncommitted_diff(project: Path) -> str:
    """A patch from the commit to the tree as it is, untracked files included; ignored ones not.

    Lines beginning with ``# left out`` precede it, one per file that is too large or cannot be
    read. Empty when nothing differs, and outside a repository.
    """
    top = Git(project)("rev-parse", "--show-toplevel")
    if top is None:
        return ""
    folder = Path(os.fsdecode(top.rstrip(b"\n")))
    with tempfile.TemporaryDirectory() as scratch:
        return _difference(folder, Path(scratch))


def _difference(folder: Path, scratch: Path) -> str:
    git = apart(folder, scratch)
    base = "HEAD" if git("rev-parse", "--verify", "--quiet", "HEAD") else EMPTY_TREE
    changed = git.names("diff", "--name-only", "--no-renames", "-z", base)
    untracked = git.names("ls-files", "--others", "--exclude-standard", "-z")
    left_out = _left_out(folder, changed, untracked)
    kept = [name for name in untracked if name not in left_out]
    listed = b"\0".join(os.fsencode(f":(top,literal){name}") for name in kept)
    if kept:
        git("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul", feed=listed)
    without = [f":(top,exclude,literal){name}" for name in left_out if name in set(changed)]
    arguments = ["diff", *PLAIN, *PREFIXES, base, "--", ":(top)", *without]
    notes = [f"# left out: {_printable(name)} ({why})\n" for name, why in left_out.items()]
    return "".join(notes) + _text(git, arguments, scratch)


def apart(folder: Path, scratch: Path) -> Git:
    """Git that works on a copy of the index and writes objects to scratch only."""
    index, objects = (_git_path(folder, name) for name in ("index", "objects"))
    if index.is_file():
        # With its time: by it Git knows which files may have changed since in the same second.
        shutil.copy2(index, scratch / "index")
    (scratch / "objects").mkdir()
    settings = {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }
    return Git(folder, settings)


def _git_path(folder: Path, name: str) -> Path:
    said = Git(folder)("rev-parse", "--git-path", name) or b""
    return folder / os.fsdecode(said.rstrip(b"\n"))


def _left_out(folder: Path, changed: Iterable[str], untracked: Iterable[str]) -> dict[str, str]:
    """Which files are not kept, and why."""
    reasons: dict[str, str] = {}
    total = 0
    for name in changed:
        size = _size(folder / name)
        if size is not None and size > FILE_BYTES_MAX:
            reasons[name] = f"{size} bytes, above {FILE_BYTES_MAX}"
    for name in untracked:
        size = _size(folder / name)
        if size is None or name.endswith("/"):
            reasons[name] = "a repository of its own" if name.endswith("/") else "cannot be read"
        elif size > FILE_BYTES_MAX:
            reasons[name] = f"{size} bytes, above {FILE_BYTES_MAX}"
        elif total + size > UNTRACKED_BYTES_MAX:
            reasons[name] = f"{size} bytes; untracked files hold more than {UNTRACKED_BYTES_MAX}"
        else:
            total += size
    return reasons


def _size(file: Path) -> int | None:
    """Bytes of a file or link; None where it cannot be read or is gone."""
    try:
        if not file.is_symlink() and not os.access(file, os.R_OK):
            return None
        return file.lstat().st_size
    except OSError:
        return None


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode().replace("\n", "\\n")


def _text(git: Git, arguments: list[str], scratch: Path) -> str:
    """The patch as text; where a file is in no encoding of Unicode, all are kept as binary."""
    patch = git(*arguments)
    if patch is None:
        return "# the difference could not be read\n"
    try:
        return patch.decode()
    except UnicodeDecodeError:
        attributes = scratch / "attributes"
        attributes.write_text("* -diff\n")
        binary = git("-c", f"core.attributesFile={attributes}", *arguments) or patch
        return binary.decode(errors="backslashreplace")
