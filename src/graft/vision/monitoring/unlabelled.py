"""Served images that have no truth: decoded as ingestion decodes, refused as it refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from graft.vision.data.manifest import keep_image, read_image
from graft.vision.data.near_copies import clusters_of, find_near_copies
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore, facts_of
from graft.vision.data.sources.reading import (
    compile_group_pattern,
    group_of,
    is_readable_name,
    printable,
    stays_inside,
)
from graft.vision.data.splits import units_of
from graft.vision.errors import UnusableImageError
from graft.vision.records import QUARANTINE_COLUMNS, new_table
from graft.vision.store import ArrayStore, Writer

COLUMNS = {
    "id": "path below the folder",
    "path": "absolute path",
    "sha256": "SHA-256 of the file's bytes",
    "width": "pixels of the upright original",
    "height": "pixels of the upright original",
    "group": "what the case's group pattern finds in the path, or empty",
}


def read_unlabelled(
    folder: Path, pixels: PixelStore, fingerprints: ArrayStore, options: IngestionOptions
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each image below a folder, whatever its folders are called; only new content is decoded.

    Returns:
        A table of COLUMNS with ``unit`` (near copies and groups are one draw), each content once;
        and a table of QUARANTINE_COLUMNS.
    """
    pattern = compile_group_pattern(options.source.group_pattern)
    rows, refused, seen = [], [], set()
    with pixels.array_store.writer() as writer:
        for file in _files(folder):
            name = file.relative_to(folder).as_posix()
            try:
                facts = _facts(file, folder, pixels, writer)
            except UnusableImageError as error:
                reason = str(error).rstrip(".")
                refused.append({"file": printable(name), "row": "", "reason": reason})
                continue
            if facts["sha256"] not in seen:
                seen.add(facts["sha256"])
                place = {"id": name, "path": str(file.resolve()), "group": group_of(name, pattern)}
                rows.append({**place, **facts})
    table = new_table(rows, COLUMNS)
    return _with_units(table, pixels, fingerprints, options), new_table(refused, QUARANTINE_COLUMNS)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path


def _facts(file: Path, folder: Path, pixels: PixelStore, writer: Writer) -> dict[str, Any]:
    """Digest, width and height. Raises `UnusableImageError`."""
    if not is_readable_name(file.as_posix()):
        raise UnusableImageError("the name is not UTF-8; rename the file")
    if not stays_inside(folder, file):
        raise UnusableImageError("leads outside the folder")
    sha256, result = read_image(file, pixels)
    keep_image(sha256, result, writer)
    facts = pixels.facts(sha256) if result is None else facts_of(result)
    if "reason" in facts:
        raise UnusableImageError(str(facts["reason"]))
    return {"sha256": sha256, "width": facts["width"], "height": facts["height"]}


def _with_units(
    rows: pd.DataFrame, pixels: PixelStore, fingerprints: ArrayStore, options: IngestionOptions
) -> pd.DataFrame:
    if rows.empty:
        return rows.assign(cluster="", unit="")
    pairs = find_near_copies(rows, pixels, fingerprints, options.near_copies).pairs
    return with_units(rows, pairs)


def with_units(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows with ``cluster`` and ``unit``, by the near copies among them and their groups."""
    clusters = clusters_of(rows, pairs)
    clustered = rows.assign(cluster=[clusters[name] for name in rows["id"]])
    return clustered.assign(unit=units_of(clustered))
