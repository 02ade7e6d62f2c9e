"""A data version is cited as pushed only when every object of it is whole on the remote."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graft.adapters.lineage.dvc_objects import remote_faults, verify_version
from graft.adapters.tracking.version import data_version
from graft.vision.errors import DataError

RAW = Path("data/01_raw/tiny")
FILES = {"a/0.png": b"zero" * 300, "a/1.png": b"one" * 300, "b/2.png": b"two" * 300}


def dvc(project: Path, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three files under DVC, all of it on a remote that is a folder beside."""
    project = tmp_path_factory.mktemp("pushed") / "project"
    for name, data in FILES.items():
        (project / RAW / name).parent.mkdir(parents=True, exist_ok=True)
        (project / RAW / name).write_bytes(data)
    dvc(project, "init", "--no-scm", "-q")
    dvc(project, "add", "-q", str(RAW))
    dvc(project, "remote", "add", "-q", "-d", "kept", str(project.parent / "remote"))
    dvc(project, "push", "-q")
    return project


@pytest.fixture
def remote(pushed: Path, tmp_path: Path) -> Iterator[Path]:
    """The remote's objects; as they were when the test ends."""
    folder, kept = pushed.parent / "remote", tmp_path / "kept"
    shutil.copytree(folder, kept)
    yield folder / "files/md5"
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def verify(project: Path, asked: str = "pushed") -> dict[str, str]:
    data_version.cache_clear()
    return verify_version(project, data_version(project, RAW), asked)


def listing(project: Path) -> dict[str, str]:
    """The MD5 of each file, as DVC's cache lists them."""
    (found,) = (project / ".dvc/cache/files/md5").rglob("*.dir")
    return {entry["relpath"]: entry["md5"] for entry in json.loads(found.read_text())}


def place(remote: Path, md5: str) -> Path:
    return remote / md5[:2] / md5[2:]


def change(path: Path, how: Callable[[bytes], bytes] | None) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.unlink()
    if how is not None:
        path.write_bytes(how(data))


def test_verify_version__says_what_was_read(pushed: Path, remote: Path) -> None:
    assert verify(pushed) == {"dvc.verified": "folder and remote"}
    shutil.rmtree(remote)
    assert verify(pushed, "stated") == {"dvc.verified": "folder"}  # the remote is not asked


CHANGES: dict[str, tuple[Callable[[bytes], bytes] | None, str]] = {
    "removed": (None, "missing"),
    "corrupt": (lambda data: bytes([data[0] ^ 1]) + data[1:], r"[0-9a-f]{32}"),
    "cut short": (lambda data: data[:100], r"[0-9a-f]{32}"),
    "emptied": (lambda data: b"", r"d41d8cd98f00b204e9800998ecf8427e"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("file", ["b/2.png", ".dir"])
def test_verify_version__names_the_object_that_is_not_whole(
    pushed: Path, remote: Path, file: str, name: str
) -> None:
    how, found = CHANGES[name]
    version = data_version(pushed, RAW)["dvc.md5"]
    md5 = version if file == ".dir" else listing(pushed)[file]
    change(place(remote, md5), how)
    said = rf"remote object of {version if file == '.dir' else file} \({md5}\): {found}"
    mend = rf"delete what is named and {version} from the remote"
    with pytest.raises(DataError, match=rf"nothing was started; found: {said}; .*next: {mend}"):
        verify(pushed)
    for named in {md5, version}:  # as the message says
        place(remote, named).unlink(missing_ok=True)
    dvc(pushed, "push", "-q")
    assert verify(pushed) == {"dvc.verified": "folder and remote"}


def test_verify_version__names_what_a_push_that_was_killed_left_out(
    pushed: Path, remote: Path
) -> None:
    """DVC uploads files before the list of them: killed, it leaves some of the one, none of the
    other; and a list that another push brought does not hide what is missing."""
    files = listing(pushed)
    for name in ("a/1.png", "b/2.png"):
        place(remote, files[name]).unlink()
    faults = remote_faults(pushed, data_version(pushed, RAW)["dvc.md5"])
    assert [fault["file"] for fault in faults or []] == [
        "remote object of a/1.png", "remote object of b/2.png"
    ]  # fmt: skip
    place(remote, data_version(pushed, RAW)["dvc.md5"]).unlink()
    with pytest.raises(DataError, match=r"\.dir.*: missing"):
        verify(pushed)


def test_verify_version__refuses_data_that_is_not_the_version_stated(
    pushed: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(pushed, project)
    (project / RAW / "a/0.png").chmod(0o644)
    (project / RAW / "a/0.png").write_bytes(b"more")
    assert verify(project, "stated") == {"dvc.verified": "nothing"}
    with pytest.raises(DataError, match="found: modified; DVC states"):
        verify(project)
    (project / f"{RAW}.dvc").unlink()
    with pytest.raises(DataError, match=r"found: unknown; DVC states no version of it"):
        verify(project)


def test_verify_version__refuses_where_no_remote_is(pushed: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(pushed, project)
    (project / ".dvc/config").write_text("")
    with pytest.raises(DataError, match=r"no remote is configured; .*dvc remote add"):
        verify(project)
