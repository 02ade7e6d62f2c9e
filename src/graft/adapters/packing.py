"""A raw folder as a few tar files: the form in which DVC takes many small files quickly.

Below ``data/01_raw/CASE.packed``: ``000000.tar``, ... uncompressed, of some 256 MB, members sorted
by name with no times, owners or modes of their own, so that equal folders give equal bytes; and
``contents.json``, which states the digest of the folder that they hold. What reads the tar shards
of WebDataset can read them.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from graft.adapters.atomic import atomic_folder
from graft.vision.errors import DataError
from graft.vision.records import digest_of, digest_of_file

SHARD_BYTES = 1 << 28
CONTENTS = "contents.json"
FORMAT = 1
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_REACHES_OUT = re.compile(r"^/|\\|^[A-Za-z]:|\x00")
_PIECE = 1 << 20


def pack(raw: Path, packed: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, Any]:
    """Write every file of a folder into tar shards, read them back, and state what they hold.

    All or nothing: what was packed before stays until the new shards are proved. Folders that hold
    no file are not kept, as DVC keeps none.

    Returns:
        What ``contents.json`` says: format, files, bytes, shards (name -> SHA-256), tree_sha256.

    Raises:
        DataError: for links and special files, and where shards do not give the folder again.
    """
    names = _names_below(raw)
    with atomic_folder(packed) as part:
        tree, size = {}, 0
        for number, shard in enumerate(_shared_out(raw, names, shard_bytes)):
            with tarfile.open(
                part / f"{number:06d}.tar", "w:", format=tarfile.GNU_FORMAT
            ) as archive:
                for name in shard:
                    tree[name], count = _put(archive, raw, name)
                    size += count
        contents = {
            "format": FORMAT,
            "files": len(tree),
            "bytes": size,
            "tree_sha256": digest_of(tree),
            "shards": {file.name: digest_of_file(file) for file in sorted(part.glob("*.tar"))},
        }
        _prove(contents, dict(_read(part, None)), packed)
        (part / CONTENTS).write_text(json.dumps(contents, indent=2) + "\n")
    return contents


def unpack(packed: Path, raw: Path) -> dict[str, Any]:
    """Write the folder that shards hold; it appears whole and proved, or not at all.

    A folder that is there already is compared, and kept.

    Returns:
        What ``contents.json`` says.

    Raises:
        DataError: for shards that are missing, altered, or would write anything but plain files
            below the folder; and where another folder stands at ``raw``.
    """
    contents = _contents(packed)
    if raw.exists():
        if tree_sha256_of(raw) != contents["tree_sha256"]:
            raise DataError(
                f"{raw} is already there, and is not what {packed} holds",
                mend="move it away, or pack it anew",
            )
        return contents
    for name, sha256 in contents["shards"].items():
        file = packed / name
        if not re.fullmatch(r"\d+\.tar", name) or not file.is_file():
            raise DataError(f"{file} is not there", mend="`dvc pull` it")
        if digest_of_file(file) != sha256:
            raise DataError(f"{file} was altered", mend="`dvc checkout` or `dvc pull` it again")
    with atomic_folder(raw) as part:
        _prove(contents, dict(_read(packed, part)), packed)
    return contents


def tree_sha256_of(raw: Path) -> str:
    """Digest of a folder's files and their names, as ``contents.json`` states it of its shards.

    Raises:
        DataError: for links and special files, and where there is no file.
    """
    return digest_of({name: digest_of_file(raw / name) for name in _names_below(raw)})


def tree_sha256_stated(packed: Path) -> str:
    """What ``contents.json`` states. Raises `DataError` where it is missing or damaged."""
    return str(_contents(packed)["tree_sha256"])


def _names_below(folder: Path) -> list[str]:
    """Every file by its path below the folder, sorted. Raises `DataError` for links and devices."""
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise DataError(
                f"{path} cannot be packed",
                found="a link or a special file",
                allowed="plain files and folders",
                mend="put the file itself in its place",
            )
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    if not names:
        raise DataError(f"there is no file to pack in {folder}")
    return sorted(names)


def _shared_out(raw: Path, names: list[str], shard_bytes: int) -> Iterator[list[str]]:
    """Names in order, shard by shard; a shard ends once it is full."""
    shard, size = [], 0
    for name in names:
        shard.append(name)
        size += (raw / name).stat().st_size
        if size >= shard_bytes:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _put(archive: tarfile.TarFile, raw: Path, name: str) -> tuple[str, int]:
    """Add one file; returns SHA-256 and length of the bytes that went in."""
    data = (raw / name).read_bytes()
    member = tarfile.TarInfo(name)  # mode 644, no owner, no time
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(data).hexdigest(), len(data)


def _contents(packed: Path) -> dict[str, Any]:
    file = packed / CONTENTS
    if not file.is_file():
        raise DataError(
            f"there are no shards at {packed}", mend="`kedro case pack` makes them, `dvc pull`"
        )
    try:
        contents = json.loads(file.read_text())
        known = contents["format"] == FORMAT and isinstance(contents["shards"], dict)
        if known and isinstance(contents["tree_sha256"], str):
            return dict(contents)
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{file} is damaged", mend="`dvc checkout` or `dvc pull` it again")


def _read(packed: Path, target: Path | None) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each member of the shards, written below ``target`` if there is one."""
    seen: set[str] = set()
    for file in sorted(packed.glob("*.tar")):
        try:
            with tarfile.open(file, "r:") as archive:
                for member in archive:
                    _check_member(file, member, seen)
                    data = archive.extractfile(member)
                    assert data is not None
                    yield member.name, _copy(data, None if target is None else target / member.name)
        except tarfile.TarError as error:
            raise DataError(f"{file} cannot be read", found=str(error)) from error


def _check_member(file: Path, member: tarfile.TarInfo, seen: set[str]) -> None:
    name = member.name
    plain = member.type in _PLAIN and getattr(member, "sparse", None) is None
    outside = _REACHES_OUT.search(name) or not {"", ".", ".."}.isdisjoint(name.split("/"))
    if not plain or outside or name in seen:
        raise DataError(
            f"{file} holds {name!r}",
            found="a name that reaches outside" if outside else "no plain file, or a name twice",
            allowed="plain files below the folder, each once",
            mend="pack the folder anew with `kedro case pack`",
        )
    seen.add(name)


def _copy(data: IO[bytes], target: Path | None) -> str:
    if target is None:
        return hashlib.file_digest(data, "sha256").hexdigest()  # type: ignore[arg-type]
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as out:
        while piece := data.read(_PIECE):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def _prove(contents: dict[str, Any], tree: dict[str, str], packed: Path) -> None:
    if digest_of(tree) != contents["tree_sha256"]:
        raise DataError(
            f"the shards of {packed} do not give the folder that {CONTENTS} states",
            found=f"{len(tree)} files, digest {digest_of(tree)}",
            allowed=f"{contents['files']} files, digest {contents['tree_sha256']}",
            mend="`dvc checkout` or `dvc pull` them again, or pack the folder anew",
        )
