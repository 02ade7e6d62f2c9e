"""The digest of every file of an exported folder, of the parts of each, and of them all."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graft.adapters.export import MANIFEST, SCHEMAS
from graft.adapters.export.parts import parts_of
from graft.adapters.export.schemas import schema_files
from graft.adapters.lineage.audit.rows import MISSING, Fault
from graft.vision.records import digest_of, digests_below

ADDED = "no such file"
FIELDS = {"schema", "root_sha256", "files", "parts"}
CELLS_MAX = 1000
"""Beyond so many changed cells of a table its rows and columns are named one by one."""
Parts = Mapping[str, str]


def manifest_of_export(folder: Path) -> dict[str, Any]:
    """``files``: SHA-256 by path; ``parts``: short digests by path and part; ``root_sha256``.

    Schemas have no parts here: who checks has them from their publishers.
    """
    files = {name: sha for name, sha in digests_below(folder).items() if name != MANIFEST}
    own = [name for name in files if not name.startswith(f"{SCHEMAS}/")]
    parts = {name: parts_of(name, (folder / name).read_bytes()) for name in own}
    return {
        "schema": 1,
        "root_sha256": root_of(files),
        "files": files,
        "parts": {name: found for name, found in parts.items() if found},
    }


def root_of(files: Mapping[str, str]) -> str:
    """One digest over the names and digests of all files."""
    return digest_of(dict(files))


def manifest_faults(folder: Path, root: str | None = None) -> Iterator[Fault]:
    """What is not as listed, by file and part; and a root digest that is not the stated one.

    Args:
        root: the root digest as the registry or a signature states it.
    """
    try:
        said = json.loads((folder / MANIFEST).read_text())
        stated, listed, parts = said["root_sha256"], dict(said["files"]), dict(said["parts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Fault(MANIFEST, "files, parts and root_sha256", f"{type(error).__name__}: {error}")
        return
    found = manifest_of_export(folder)
    for name in sorted({*listed, *found["files"]}):
        expected, actual = listed.get(name, ADDED), found["files"].get(name, MISSING)
        sides = parts.get(name, {}), found["parts"].get(name, {})
        if expected == actual:
            yield from _part_faults(name, *sides)
        else:
            yield from _file_faults(folder, name, (expected, actual), *sides)
    expected = found["root_sha256"] if root is None else root
    if stated != root_of(listed) or stated != expected:
        yield Fault(f"{MANIFEST}: root_sha256", expected, str(stated))
    for name in sorted({*said} - FIELDS):
        yield Fault(f"{MANIFEST}: {name}", "no such field", str(said[name]))
    if said.get("schema") != found["schema"]:
        yield Fault(f"{MANIFEST}: schema", str(found["schema"]), str(said.get("schema", MISSING)))


def _part_faults(name: str, stated: Parts, there: Parts) -> Iterator[Fault]:
    """Of a file that is as listed: it is the list of its parts that was changed."""
    for part in _changed(stated, there):
        said = there.get(part, MISSING), stated.get(part, MISSING)
        yield Fault(f"{MANIFEST}: parts of {name}: {part}", *said)


def _file_faults(
    folder: Path, name: str, digests: tuple[str, str], stated: Parts, there: Parts
) -> Iterator[Fault]:
    if name.startswith(f"{SCHEMAS}/") and (folder / name).is_file():
        published = schema_files().get(name.removeprefix(f"{SCHEMAS}/"), "")
        stated = parts_of(name, published.encode())
        there = parts_of(name, (folder / name).read_bytes())
    places = _telling(_changed(stated, there)) if {ADDED, MISSING}.isdisjoint(digests) else []
    for what in [f"{name}: {place}" for place in places] or [name]:
        yield Fault(what, *digests)


def _changed(stated: Parts, there: Parts) -> list[str]:
    return [part for part in {**there, **stated} if there.get(part) != stated.get(part)]


def _telling(changed: list[str]) -> list[str]:
    """Of a table the cells where a changed row meets a changed column."""
    rows = [part for part in changed if part.startswith("row ")]
    columns = [part for part in changed if part.startswith("column ")]
    if not rows or not columns or len(rows) * len(columns) > CELLS_MAX:
        return changed
    return [f"{row}, {column}" for row in rows for column in columns]
