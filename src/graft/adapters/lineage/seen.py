"""Which images each recorded version has seen, itself and through the versions it came from."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.adapters.lineage import IMAGES, UNKNOWN
from graft.adapters.lineage.parents import SPLIT_AND_WEIGHTS, parent_of
from graft.adapters.lineage.reading import read_beside, read_lineage
from graft.adapters.lineage.versions import recorded_versions
from graft.vision.errors import DataError


def seen_images(project: Path) -> tuple[dict[str, Any], list[str]]:
    """By ``NAME/version`` the images that it saw, and sentences on what could not be read.

    Columns of `IMAGE_COLUMNS`, with ``model``, ``version``, ``decoding`` (the rule by which pixels
    were read) and ``through``: the parent by which an image came to it, empty where it saw it
    itself.
    """
    tables, notes, parents = {}, [], {}
    for version in recorded_versions():
        name = f"{version.name}/{version.version}"
        try:
            record = read_lineage(version, project)
            tables[name] = _table(project, version, record)
        except DataError as error:
            notes.append(str(error))
            continue
        parents[name] = _parent_of(record)
    for name, parent in parents.items():
        if parent is not None and parent not in tables:
            notes.append(f"{name}: what its parent {parent} saw is not known")
    return {name: _with_parents(name, tables, parents) for name in tables}, notes


def _parent_of(record: Mapping[str, Any]) -> str | None:
    """``NAME/version`` whose weights it came from; None where another gave its split at most."""
    said = parent_of(record)
    if said is None or said["gave"] != SPLIT_AND_WEIGHTS:
        return None
    return f"{said['name']}/{said['version']}"


def _table(project: Path, version: Any, record: Mapping[str, Any]) -> Any:
    import pandas as pd

    images = record["images"]
    digest = UNKNOWN if images == UNKNOWN else images["table_sha256"]
    data = read_beside(version, IMAGES, digest, project)
    if data is None:
        name = f"{version.name}/{version.version}"
        raise DataError(f"{name}: its table of images is missing or was altered")
    table: Any = pd.read_parquet(io.BytesIO(data))
    parameters = record["configuration"]["parameters"]
    decoding = parameters.get(f"{record['model']['task']}.ingestion", {}).get("decoding", {})
    return table.assign(
        model=version.name,
        version=str(version.version),
        decoding=[decoding] * len(table),
        through="",
    )


def _with_parents(name: str, tables: Mapping[str, Any], parents: Mapping[str, str | None]) -> Any:
    """A version's images, and those that it saw through its parent, and that one's parent.

    What it saw itself in the same split is not told twice.
    """
    import pandas as pd

    model, _, version = name.rpartition("/")
    known, parent = tables[name], parents[name]
    line: list[str] = []
    while parent is not None and parent in tables and parent not in line:
        line.append(parent)
        theirs = tables[parent].assign(model=model, version=version, through=", ".join(line))
        known = pd.concat([known, theirs]).drop_duplicates(["id", "sha256", "split"])
        parent = parents[parent]
    return known
