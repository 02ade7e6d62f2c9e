"""A run's patch makes a clean clone equal to the tree that ran, and swallows nothing huge."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graft.adapters.tracking import difference
from graft.adapters.tracking.difference import uncommitted_diff
from graft.adapters.tracking.facts import code_facts

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org"]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit."""
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "plain.txt").write_text("one\ntwo\nthree\n")
    (tree / "windows.txt").write_bytes(b"one\r\ntwo\r\n")
    (tree / "latin.txt").write_bytes("größe\n".encode("latin-1"))
    (tree / "picture.bin").write_bytes(bytes(range(256)) * 4)
    (tree / "gone.txt").write_text("to be removed\n")
    (tree / "sub").mkdir()
    (tree / "sub/inner.txt").write_text("inner\n")
    (tree / ".gitignore").write_text("*.ignored\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "first")
    return tree


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def rebuilt(tree: Path, patch: str, clone: Path) -> dict[str, bytes]:
    """What a clean clone holds once the patch is applied."""
    git(tree.parent, "clone", "-q", str(tree), str(clone))
    file = clone.with_suffix(".diff")
    file.write_text(patch)
    git(clone, "apply", str(file))
    return contents(clone)


def change_a_line(tree: Path) -> None:
    (tree / "plain.txt").write_text("one\n2\nthree\n")


def change_line_ends(tree: Path) -> None:
    (tree / "windows.txt").write_bytes(b"one\r\n2\r\n\r\n")


def change_latin(tree: Path) -> None:
    (tree / "latin.txt").write_bytes("größer\n".encode("latin-1"))
    change_a_line(tree)


def change_bytes(tree: Path) -> None:
    (tree / "picture.bin").write_bytes(bytes(range(255, -1, -1)) * 5)


def remove(tree: Path) -> None:
    (tree / "gone.txt").unlink()


def stage(tree: Path) -> None:
    (tree / "staged.txt").write_text("staged\n")
    git(tree, "add", "staged.txt")
    git(tree, "mv", "plain.txt", "moved.txt")


def bring_new_files(tree: Path) -> None:
    (tree / "new.py").write_text("x = 1\n")
    (tree / "no line end.txt").write_text("ä")
    (tree / "-dash.txt").write_text("a\n")
    (tree / "ünï [*].txt").write_text("a\n")
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/er/new.bin").write_bytes(os.urandom(3000))
    (tree / "empty.txt").touch()
    (tree / "script.sh").write_text("#!/bin/sh\n")
    (tree / "script.sh").chmod(0o755)


CHANGES = [
    change_a_line,
    change_line_ends,
    change_latin,
    change_bytes,
    remove,
    stage,
    bring_new_files,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_diff__applied_to_a_clean_clone_gives_the_tree_that_ran(
    tree: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(tree)
    assert code_facts(tree)["git.dirty"] == "true"
    assert rebuilt(tree, uncommitted_diff(tree), tmp_path / "clone") == contents(tree)


def test_diff__sees_a_change_in_the_second_of_the_commit_that_keeps_the_size(
    tree: Path, tmp_path: Path
) -> None:
    """Git's index knows times by the second; such a change is seen by the index's own time."""
    now = time.time() - 5
    for file in (tree / "windows.txt", tree / ".git/index"):
        os.utime(file, (now, now))
    git(tree, "update-index", "--refresh")
    os.utime(tree / ".git/index", (now, now))
    change_line_ends(tree)
    os.utime(tree / "windows.txt", (now, now))
    assert rebuilt(tree, uncommitted_diff(tree), tmp_path / "clone") == contents(tree)


def test_diff__holds_all_changes_at_once_whatever_the_persons_configuration(
    tree: Path, tmp_path: Path
) -> None:
    for key, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "color.diff": "always",
        "diff.renames": "copies",
        "diff.external": "false",
        "core.quotePath": "true",
    }.items():
        git(tree, "config", key, value)
    for change in (change_latin, change_bytes, remove, stage, bring_new_files):
        if change is not stage:
            change(tree)
    assert rebuilt(tree, uncommitted_diff(tree / "sub"), tmp_path / "clone") == contents(tree)


def test_diff__leaves_index_and_objects_as_they_are(tree: Path) -> None:
    stage(tree)
    bring_new_files(tree)
    before = git(tree, "status", "--porcelain"), git(tree, "count-objects", "-v")
    index = (tree / ".git/index").read_bytes()
    uncommitted_diff(tree)
    assert (tree / ".git/index").read_bytes() == index
    assert (git(tree, "status", "--porcelain"), git(tree, "count-objects", "-v")) == before


def test_diff__names_what_is_too_large_and_keeps_the_rest(tree: Path, tmp_path: Path) -> None:
    bring_new_files(tree)
    wanted = contents(tree)
    (tree / "huge.bin").write_bytes(os.urandom(difference.FILE_BYTES_MAX + 1))
    (tree / "plain.txt").write_bytes(os.urandom(difference.FILE_BYTES_MAX + 1))
    patch = uncommitted_diff(tree)
    assert len(patch) < 20_000
    assert "# left out: huge.bin (1000001 bytes, above 1000000)\n" in patch
    assert "# left out: plain.txt (1000001 bytes, above 1000000)\n" in patch
    assert rebuilt(tree, patch, tmp_path / "clone") == wanted


def test_diff__stops_at_what_untracked_files_may_hold_together(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(difference, "UNTRACKED_BYTES_MAX", 2500)
    for number in range(4):
        (tree / f"new_{number}.txt").write_text("x" * 1000)
    patch = uncommitted_diff(tree)
    assert patch.count("# left out:") == 2 and patch.count("new file mode") == 2


def test_diff__passes_over_ignored_files_and_names_repositories_inside(tree: Path) -> None:
    (tree / "secret.ignored").write_text("secret\n")
    (tree / "nested").mkdir()
    git(tree / "nested", "init", "-q")
    (tree / "nested/a.txt").write_text("a\n")
    assert uncommitted_diff(tree) == "# left out: nested/ (a repository of its own)\n"


def test_diff__is_empty_where_nothing_differs_and_outside_a_repository(
    tree: Path, tmp_path: Path
) -> None:
    assert uncommitted_diff(tree) == "" and code_facts(tree)["git.dirty"] == "false"
    (tmp_path / "outside").mkdir()
    assert uncommitted_diff(tmp_path / "outside") == ""
    assert code_facts(tmp_path / "outside") == {"git.commit": "unknown", "git.dirty": "unknown"}


def test_diff__before_the_first_commit_holds_the_whole_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("a\n")
    assert "+a\n" in uncommitted_diff(tmp_path)
    assert code_facts(tmp_path) == {"git.commit": "unknown", "git.dirty": "true"}
