"""A commit and a recorded difference give the tree that ran, as Git itself names it."""

import subprocess
from pathlib import Path

import pytest

from graft.adapters.tracking.difference import uncommitted_diff
from graft.adapters.tracking.tree import (
    check_out,
    commit_exists,
    committed_since,
    file_at,
    rebuilt_tree,
    working_tree,
)

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org"]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a commit, an edit, a deletion and an untracked file."""
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q")
    for name in ("plain.txt", "gone.txt", "kept.txt"):
        (tree / name).write_text(f"{name}\n")
    (tree / ".gitignore").write_text("*.ignored\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "first")
    (tree / "plain.txt").write_text("edited\n")
    (tree / "gone.txt").unlink()
    (tree / "new.py").write_bytes(b"new = 1\r\n")
    (tree / "secret.ignored").write_text("no part of the tree\n")
    return tree


def test_working_tree__is_what_commit_and_difference_give_again(tree: Path) -> None:
    diff = uncommitted_diff(tree)
    commit = git(tree, "rev-parse", "HEAD")
    assert rebuilt_tree(tree, commit, diff) == working_tree(tree, diff)
    assert rebuilt_tree(tree, commit, "") == git(tree, "rev-parse", "HEAD^{tree}")
    assert rebuilt_tree(tree, commit, "") != working_tree(tree, diff)


def test_working_tree__leaves_the_repository_as_it_was(tree: Path) -> None:
    before = git(tree, "status", "--porcelain"), (tree / ".git/index").read_bytes()
    working_tree(tree, uncommitted_diff(tree))
    assert (git(tree, "status", "--porcelain"), (tree / ".git/index").read_bytes()) == before


def test_working_tree__does_without_what_the_difference_left_out(tree: Path) -> None:
    (tree / "large.bin").write_bytes(bytes(1_000_001))
    diff = uncommitted_diff(tree)
    assert diff.startswith("# left out: large.bin")
    assert rebuilt_tree(tree, "HEAD", diff) == working_tree(tree, diff)


def test_check_out__has_the_tree_that_ran(tree: Path, tmp_path: Path) -> None:
    diff, commit = uncommitted_diff(tree), git(tree, "rev-parse", "HEAD")
    clone = tmp_path / "clone"
    assert check_out(tree, commit, diff, clone)
    assert working_tree(clone, uncommitted_diff(clone)) == working_tree(tree, diff)
    assert (clone / "new.py").read_bytes() == b"new = 1\r\n"
    assert not (clone / "gone.txt").exists()


def test_commit__is_asked_of_git(tree: Path, tmp_path: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert commit_exists(tree, commit) and not commit_exists(tree, "0" * 40)
    assert file_at(tree, commit, "plain.txt") == b"plain.txt\n"
    assert file_at(tree, commit, "new.py") is None
    assert rebuilt_tree(tree, "0" * 40, "") is None
    assert not commit_exists(tmp_path, commit)


def test_committed_since__finds_the_first_commit_of_that_very_tree(tree: Path) -> None:
    before, ran = git(tree, "rev-parse", "HEAD"), working_tree(tree, uncommitted_diff(tree))
    assert committed_since(tree, ran, before) is None
    git(tree, "add", "--all")
    git(tree, "commit", "-qm", "what ran")
    found = git(tree, "rev-parse", "HEAD")
    git(tree, "commit", "-qm", "nothing more", "--allow-empty")
    assert committed_since(tree, ran, before) == found
    (tree / "plain.txt").write_text("edited since\n")
    git(tree, "commit", "-qam", "another tree")
    assert committed_since(tree, ran, before) == found
    assert committed_since(tree, "unknown", before) is None
    assert committed_since(tree, ran, "unknown") is None
    assert committed_since(tree.parent, ran, before) is None
