"""Where in a folder boxes or masks lie: at its top, or in the one data set below."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.vision.data.sources.describe import describe, doubt, propose_series
from graft.vision.data.sources.folders import subfolders
from graft.vision.data.sources.reading import split_named
from graft.vision.data.sources.recognise_boxes import is_part, recognise_boxes
from graft.vision.data.sources.recognise_masks import recognise_masks
from graft.vision.errors import DataError

_MOST_FOLDERS = 50
"""Below a folder; more are class folders."""


@dataclass
class DenseData:
    """A layout with the options that read it; ``truth`` is ``boxes`` or ``masks``."""

    layout: str
    truth: str
    options: dict[str, Any]
    found: list[str]
    doubts: list[str]
    paths: list[str]
    """Of the images, below the raw folder."""


def find_dense(root: Path, truth: str | None) -> DenseData | None:
    """Boxes or masks in the folder, or in the one folder below that holds them.

    Args:
        root: the folder to look at.
        truth: ``boxes`` or ``masks`` where only that is wanted; else boxes come first.

    Raises:
        DataError: for several data sets, or masks that cannot be read for want of names.
    """
    faults: list[DataError] = []
    at_root = _look(root, root, truth, faults)
    below = _hits(root, folders_below(root), truth, faults)
    if at_root is not None and (at_root.layout != "boxes_csv" or len(below) != 1):
        return at_root
    if not below:
        deeper = [folder for base in folders_below(root) for folder in folders_below(base)]
        below = _hits(root, deeper, truth, faults)
    if len(below) > 1:
        raise DataError(
            f"several data sets in {root}",
            found=", ".join(f"{hit.options['folder']} ({hit.layout})" for hit in below[:12]),
            mend="give one of these folders",
        )
    if below and at_root is not None:
        below[0].doubts.append(f"{', '.join(at_root.options['table'])} also lists boxes: not used")
    if not below and faults:
        raise faults[0]
    return below[0] if below else None


def folders_below(root: Path) -> list[Path]:
    """Folders that may each hold a data set: no splits, no parts, and not too many."""
    folders = [f for f in subfolders(root) if not split_named(f.name) and not is_part(f.name)]
    return folders if len(folders) <= _MOST_FOLDERS else []


def _hits(
    root: Path, bases: list[Path], truth: str | None, faults: list[DataError]
) -> list[DenseData]:
    return [hit for base in bases if (hit := _look(root, base, truth, faults)) is not None]


def _look(root: Path, base: Path, truth: str | None, faults: list[DataError]) -> DenseData | None:
    """What a folder holds; masks that cannot be read for want of names are a fault."""
    kind, found = "boxes", None if truth == "masks" else recognise_boxes(root, base)
    if found is None and truth != "boxes":
        try:
            kind, found = "masks", recognise_masks(root, base)
        except DataError as error:
            faults.append(error)
    if found is None:
        return None
    layout, (chosen, reading, doubts) = found
    options = {"layout": layout, **chosen}
    if base != root:
        options["folder"] = base.relative_to(root).as_posix()
    words = describe(reading)
    pattern = propose_series(reading)
    if pattern:
        options["group_pattern"] = pattern
        words.append("names lead with a number or code that several share; they stay together")
    paths = [row.path for row in reading.rows]
    return DenseData(layout, kind, options, words, [*doubts, *doubt(reading)], paths)
