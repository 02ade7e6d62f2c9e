"""The version that DVC states of the raw data, cited only where the folder still is that."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from graft.adapters.atomic import atomic_file
from graft.adapters.layers import packed_folder
from graft.vision.errors import DataError

UNKNOWN = "unknown"
MODIFIED = "modified"
IGNORED = (".git", ".git/", ".hg/", ".dvc/")  # DVC's own, beside .dvcignore


@dataclass(frozen=True)
class Look:
    """What a walk without reading tells of a folder; any change of a file moves ``newest_ns``."""

    files: int
    bytes: int
    newest_ns: int


@lru_cache
def data_version(project: Path, raw: Path) -> dict[str, str]:
    """Tags: ``dvc.path``; ``dvc.md5``: the version, ``modified`` or ``unknown``; ``dvc.stated``.

    Looked at once per process; ``data_version.cache_clear()`` looks again. The bytes are read only
    when something moved since they were last compared, so a large folder costs one walk. Of a
    folder that DVC knows by its shards alone the version is theirs, while it is what they hold.
    """
    path, packed = project / raw, packed_folder(project / raw)
    stated, shards = _stated(project, path), _pointed(packed)
    is_packed = stated is None and shards is not None
    if is_packed:
        stated, raw = shards, packed_folder(raw)
    tags = {"dvc.path": str(raw), "dvc.md5": UNKNOWN}
    if stated is None:
        return tags
    try:
        same = _is_as_stated(project, packed if is_packed else path, stated)
        same = same and (not is_packed or _is_unpacked(project, packed, path))
    except OSError:  # not there, or not to be read: the run will say so where it needs it
        return {**tags, "dvc.stated": str(stated["md5"])}
    return {
        **tags,
        "dvc.md5": str(stated["md5"]) if same else MODIFIED,
        "dvc.stated": stated["md5"],
    }


def _stated(project: Path, path: Path) -> dict[str, Any] | None:
    """The output that a ``.dvc`` pointer beside the folder states, or else ``dvc.lock``."""
    pointed = _pointed(path)
    if pointed is not None:
        return pointed
    lock = project / "dvc.lock"
    stages = (yaml.safe_load(lock.read_text()) or {}).get("stages", {}) if lock.is_file() else {}
    for stage in stages.values():
        for out in stage.get("outs", []):
            if project / out["path"] == path and "md5" in out:
                return dict(out)
    return None


def _pointed(path: Path) -> dict[str, Any] | None:
    pointer = path.with_name(path.name + ".dvc")
    outs = yaml.safe_load(pointer.read_text())["outs"] if pointer.is_file() else []
    return next((dict(out) for out in outs if "md5" in out), None)


def _is_as_stated(project: Path, path: Path, stated: dict[str, Any]) -> bool:
    files = dict(_walk(project, path))
    look = _look(path, files)
    if (look.files, look.bytes) != (stated.get("nfiles"), stated.get("size")):
        return False
    return _is_known(project, path, stated["md5"], look, lambda: _md5_of(files))


def _is_unpacked(project: Path, packed: Path, path: Path) -> bool:
    """Whether the folder is what its shards hold, file by file."""
    from graft.adapters.packing import tree_sha256_of, tree_sha256_stated

    try:
        stated = tree_sha256_stated(packed)
        look = _look(path, dict(_walk(project, path)))
        return _is_known(project, path, stated, look, lambda: tree_sha256_of(path))
    except DataError:  # damaged shards, or a link in the folder, which no shard holds
        return False


def _is_known(
    project: Path, path: Path, expected: str, look: Look, digest: Callable[[], str]
) -> bool:
    """Whether a folder has this digest; asked anew only when something in it has moved."""
    memory = project / ".dvc/tmp" / "graft-compared.json"
    known = _remembered(memory)
    seen = [expected, look.files, look.bytes, look.newest_ns]
    if known.get(str(path)) == seen:
        return True
    same = digest() == expected
    if same:
        _remember(memory, {**known, str(path): seen})
    return same


def _walk(project: Path, path: Path) -> Iterator[tuple[str, Path]]:
    """Each file that DVC counts, by its name below the folder."""
    from pathspec import GitIgnoreSpec

    ignore = project / ".dvcignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    ignored = GitIgnoreSpec.from_lines([*IGNORED, *lines])
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not ignored.match_file(os.path.relpath(file, project)):
                yield file.relative_to(path).as_posix(), file


def _look(path: Path, files: dict[str, Path]) -> Look:
    stats = [file.stat() for file in files.values()]
    # A change of a file's bytes or name moves a ctime, which no program can set back.
    newest = max([path.stat().st_ctime_ns, *(stat.st_ctime_ns for stat in stats)])
    return Look(len(stats), sum(stat.st_size for stat in stats), newest)


def _md5_of(files: dict[str, Path]) -> str:
    """As DVC 3 digests a folder: the MD5 of the list of its files' MD5."""
    entries = [{"md5": _md5(files[name]), "relpath": name} for name in sorted(files)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(file: Path) -> str:
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False))
        return digest.hexdigest()


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(memory.read_text()))
    except (OSError, ValueError):
        return {}


def _remember(memory: Path, known: dict[str, Any]) -> None:
    """Best effort: what is not remembered is compared again."""
    if memory.parent.parent.is_dir():  # where DVC is at home
        with suppress(OSError), atomic_file(memory) as part:
            part.write_text(json.dumps(known))
