"""The reverse of a record: which versions, splits and stores saw an image, and its near copies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from graft.adapters.layers import FROZEN_FEATURES, STORES, places
from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.hashing import facts_of_file
from graft.adapters.lineage.near import Thumbnails
from graft.adapters.lineage.seen import seen_images
from graft.vision.errors import DataError
from graft.vision.store import ArrayStore

BY_IMAGE = {
    "pixels": STORES["pixels"],
    "frozen features": STORES["features"],
    "outputs": STORES["outputs"],
}
"""Stores by content that keep an image under the SHA-256 of its file."""
USE = ("model", "version", "split", "id", "sha256", "through")
"""What is told of a use."""
HASH = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Asked:
    """The image that is asked for: its digest, and its file where it is at hand."""

    text: str
    sha256: str | None
    file: Path | None


def used(project: Path, text: str) -> dict[str, Any]:
    """Where an image was used, by file, by path below the raw folder, or by SHA-256 (8 digits on).

    Returns:
        ``image``, ``sha256``; ``versions``: model, version, id, split of each use of these bytes,
        and ``through``: the parent by which it came to the version, empty where that itself did;
        ``near``: the same of its near copies, with how alike they are; ``stores``: which stores
        keep something made of it; ``notes``: what could not be looked at.

    Raises:
        DataError: when the text is no file, and nothing that was recorded bears that name.
    """
    tables, notes = seen_images(project)
    known = pd.concat(tables.values()) if tables else pd.DataFrame(columns=["sha256", "path"])
    asked = _asked(project, text, known)
    near, said = Thumbnails(project).near(asked.sha256, asked.file, known)
    return {
        "image": text,
        "sha256": asked.sha256 or UNKNOWN,
        "versions": list(_uses(known, asked.sha256)),
        "near": [
            {**use, "correlation": score, "how": how}
            for sha256, (score, how) in sorted(near.items())
            for use in _uses(known, sha256)
        ],
        "stores": list(_stores(project, asked.sha256)),
        "notes": [*notes, *said],
    }


def used_text(found: dict[str, Any]) -> str:
    """The answer as plain text."""
    lines = [f"{found['image']}", f"  SHA-256 {found['sha256']}", "", "used by"]
    lines += [f"  {_use(use)}" for use in found["versions"]] or ["  no recorded version"]
    lines += ["", "near copies used by"]
    near = [f"  {_use(use)}  {use['how']}, {use['correlation']:.3f}" for use in found["near"]]
    lines += near or ["  none found"]
    lines += ["", "stores"]
    lines += [f"  {s['kind']}: {s['store']}" for s in found["stores"]] or ["  none"]
    return "\n".join([*lines, *(f"\nnote: {note}" for note in found["notes"])])


def _use(use: dict[str, Any]) -> str:
    through = f"  through its parent {use['through']}" if use["through"] else ""
    return f"{use['model']}/{use['version']}  {use['split']:5}  {use['id']}{through}"


def _asked(project: Path, text: str, known: Any) -> Asked:
    """A file, or a recorded path or id, or the beginning of a digest."""
    file = next((f for f in (Path(text), project / text) if f.is_file()), None)
    if file is not None and (facts := facts_of_file(file)) is not None:
        return Asked(text, facts.sha256, file)
    named = known[(known["path"] == text) | (known["id"] == text)] if len(known) else known
    if named["sha256"].nunique() == 1:
        return Asked(text, str(named["sha256"].iloc[0]), None)
    if HASH.fullmatch(text):
        begun = sorted({sha for sha in known["sha256"] if sha.startswith(text)})
        if len(begun) == 1 or len(text) == 64:
            return Asked(text, begun[0] if begun else text, None)
    raise DataError(
        f"{text} is no image that can be looked for",
        found="several recorded images of that name" if len(named) else "no file and no record",
        allowed="a file, the path of an image below its raw folder, or its SHA-256",
        mend="give the file itself, or more digits of its SHA-256",
    )


def _uses(known: Any, sha256: str | None) -> Iterator[dict[str, str]]:
    rows = known[known["sha256"] == sha256] if len(known) else known
    for row in rows.sort_values(["model", "version", "id"]).to_dict("records") if len(rows) else ():
        yield {name: str(row[name]) for name in USE}


def _stores(project: Path, sha256: str | None) -> Iterator[dict[str, str]]:
    for kind, below in BY_IMAGE.items():
        for folder in sorted((project / below).glob("*")):
            if folder.is_dir() and sha256 in ArrayStore(folder.parent, folder.name):
                yield {"kind": kind, "store": folder.relative_to(project).as_posix()}
    yield from _feature_tables(project, sha256)


def _feature_tables(project: Path, sha256: str | None) -> Iterator[dict[str, str]]:
    """Augmented views stand under keys of their own, which a case's table of features names."""
    for file in places(project, FROZEN_FEATURES):
        table = pd.read_parquet(file, columns=["sha256"])
        if (table["sha256"] == sha256).any():
            place = file.relative_to(project).as_posix()
            yield {"kind": "frozen features of a case", "store": place}
