"""The objects of a data version as DVC stores them: in its cache here, and on its remote."""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.hashing import THREADS
from graft.adapters.tracking.version import MODIFIED
from graft.vision.errors import DataError

FOLDER = ".dir"
"""The ending of a folder's version: its object lists the files."""
Read = Callable[[str], bytes | None]
"""The bytes of an object by its name; None where it is not there."""
VERIFIED = "dvc.verified"
"""The tag of a run that says what of its data version was verified: nothing, folder, remote."""
NOTHING, FOLDER_ONLY, REMOTE_TOO = "nothing", "folder", "folder and remote"
NAMED = 3
"""How many objects an error names."""


def verify_version(project: Path, version: Mapping[str, str], asked: str) -> dict[str, str]:
    """The tag that says what of a run's data version was verified.

    Args:
        version: the tags of `graft.adapters.tracking.version.data_version`.
        asked: ``stated`` reads the folder alone; ``pushed`` every object on the remote too.

    Raises:
        DataError: where ``pushed`` is asked and an object of it is missing or altered.
    """
    whole = version["dvc.md5"] not in (UNKNOWN, MODIFIED)
    if asked != "pushed":
        return {VERIFIED: FOLDER_ONLY if whole else NOTHING}
    if not whole:
        said = f"{version['dvc.md5']}; DVC states {version.get('dvc.stated', 'no version of it')}"
        raise _unverified(version, said, "`dvc add` it, then `dvc push`; or `dvc checkout`")
    faults = remote_faults(project, version["dvc.md5"])
    if faults is None:
        raise _unverified(version, "no remote is configured", "`dvc remote add -d`, `dvc push`")
    if faults:
        # DVC takes a list on the remote for proof that all it lists is there.
        mend = f"delete what is named and {version['dvc.md5']} from the remote, then `dvc push`"
        raise _unverified(version, _named(faults), mend)
    return {VERIFIED: REMOTE_TOO}


def _unverified(version: Mapping[str, str], found: str, mend: str) -> DataError:
    return DataError(
        f"the data version of {version['dvc.path']} is not shown to be whole on DVC's remote, "
        "and nothing was started",
        found=found,
        allowed="every object there, byte for byte, as lineage.data: pushed in mlflow.yml asks",
        mend=mend,
    )


def _named(faults: list[dict[str, str]]) -> str:
    said = [f"{f['file']} ({f['expected']}): {f['found']}" for f in faults[:NAMED]]
    more = len(faults) - NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def cached_files(project: Path, version: str) -> dict[str, Path]:
    """The cache's object for each file of a data version; empty where the cache has it not."""
    objects = project / ".dvc/cache/files/md5"
    listing = _in(objects, version)
    if not version.endswith(FOLDER) or not listing.is_file():
        return {}
    entries = json.loads(listing.read_text())
    return {entry["relpath"]: _in(objects, entry["md5"]) for entry in entries}


def remote_faults(project: Path, version: str) -> list[dict[str, str]] | None:
    """Objects of a data version that the default remote lacks or holds altered, by file.

    Every byte of the remote is read: a remote says "up to date" of an object that was altered.
    None where no remote is configured.
    """
    read = _remote(project)
    if read is None:
        return None
    listing = read(version)
    if (fault := _fault(version, version, listing)) is not None or listing is None:
        return [fault or {}]
    if not version.endswith(FOLDER):
        return []
    files = {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}
    return _file_faults(files, read)


def _file_faults(files: Mapping[str, str], read: Read) -> list[dict[str, str]]:
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda name: _fault(name, files[name], read(files[name])), sorted(files))
        return [fault for fault in found if fault is not None]


def _fault(name: str, oid: str, data: bytes | None) -> dict[str, str] | None:
    if data is None:
        return {"file": f"remote object of {name}", "expected": oid, "found": "missing"}
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found == oid.removesuffix(FOLDER):
        return None
    return {"file": f"remote object of {name}", "expected": oid, "found": found}


def _remote(project: Path) -> Read | None:
    """How to read from the project's default remote, by DVC's own way to it."""
    if not _names_remote(project):
        return None
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        store: Any = Repo(str(project)).cloud.get_remote_odb()
    except DvcException:
        return lambda oid: None

    def read(oid: str) -> bytes | None:
        try:
            return bytes(store.fs.cat_file(store.oid_to_path(oid)))
        except Exception:  # each kind of remote has its own; all mean: it could not be read
            return None

    return read


def _names_remote(project: Path) -> bool:
    """Without DVC's own import, which takes a second."""
    files = (project / ".dvc/config", project / ".dvc/config.local")
    return any(file.is_file() and "remote" in file.read_text() for file in files)


def _in(objects: Path, oid: str) -> Path:
    return objects / oid[:2] / oid[2:]
