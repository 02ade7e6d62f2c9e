"""What every reader returns, and the rules that all of them keep."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from graft.vision.data.boxes import StatedBoxes
from graft.vision.data.dicom import is_dicom
from graft.vision.data.file_bytes import read_stated
from graft.vision.data.mask_files import MaskRule
from graft.vision.data.options import SourceOptions
from graft.vision.errors import DataError, OptionsError

IMAGE_ENDINGS = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "tif", "tiff", "webp", "ppm"),
        *("pgm", "pbm", "pnm", "jp2", "j2k", "tga", "avif", "mpo", "dcm", "dicom"),
    )
)
SPLIT_NAMES = {
    "train": ("train", "training", "final_training", "trainset", "trn"),
    "val": ("val", "valid", "validation", "dev", "valset"),
    "test": ("test", "testing", "final_test", "testset", "tst"),
}
_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}

NOT_UTF8 = "the name is not UTF-8; rename the file"
OUTSIDE = "a link that leaves the raw folder; bring the file itself"
MISSING = "the file is missing; bring it, or take its row out"
SEVERAL = "several images have that name; state the path in full"
"""Reasons that several readers give, each with what to do."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One image as the source states it."""

    path: str
    """Below the raw folder, with forward slashes."""
    truth: str
    """JSON, e.g. ``{"classes": ["ant"]}``; empty where ingestion makes it of boxes or a mask."""
    given_split: str = ""
    group: str = ""
    row: str = ""
    """Where in a table it stands, e.g. ``labels.csv:12``."""
    mask: str = ""
    """The file that holds the image's mask, instances or polygons, below the raw folder."""
    boxes: StatedBoxes | None = None


@dataclass
class SourceReading:
    """All rows, what had to be left out, and what should be known."""

    rows: list[SourceRow] = field(default_factory=list)
    quarantine: list[dict[str, str]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    """Parts of an image's truth that cannot be used; the image stays."""
    mask_rule: MaskRule | None = None
    """How the rows' mask files are read."""
    drawn: int = 0
    """Shapes that masks are drawn of."""
    trimmed: dict[str, None] = field(default_factory=dict)
    """Class names that were stated with blanks around them, as stated."""

    def refuse(self, file: str, reason: str, row: str = "") -> None:
        """Put one row into the quarantine."""
        self.quarantine.append(_told(file, row, reason))

    def leave_out(self, file: str, reason: str, row: str) -> None:
        """Report a part of an image's truth that cannot be used; the image stays."""
        self.left_out.append(_told(file, row, reason))

    def class_name(self, stated: str) -> str:
        """A class name without the blanks around it, which are remembered and told."""
        name = stated.strip()
        if name != stated and name:
            self.trimmed[stated] = None
        return name


def _told(file: str, row: str, reason: str) -> dict[str, str]:
    said = {"file": file, "row": row, "reason": reason}
    return {name: printable(text) for name, text in said.items()}


def base_of(root: Path, options: SourceOptions) -> Path:
    """Where the case's data lie below the raw folder. Raises `DataError` when it is not there."""
    return folder_below(root, options.folder, "ingestion.source.folder")


def folder_below(root: Path, name: str, setting: str) -> Path:
    """A folder below the root by its relative name, without detours in its path."""
    plain = os.path.normpath(name or ".")
    folder = root / plain
    outside = Path(plain).is_absolute() or plain.startswith("..")
    if outside or not folder.is_dir() or not stays_inside(root, folder):
        raise DataError(
            f"no folder {name!r} in {root}",
            found=sorted(path.name for path in root.iterdir() if path.is_dir())[:10],
            mend=f"correct {setting}",
        )
    return folder


def split_named(name: str) -> str:
    """``train``, ``val``, ``test`` for the usual names of splits, else an empty string."""
    return _SPLIT_OF.get(name.strip().lower(), "")


def classes_truth(classes: Iterable[str]) -> str:
    """The truth text of an image with these classes, whose order says nothing."""
    return json.dumps({"classes": sorted(set(classes))}, ensure_ascii=False)


def check_groups(reading: SourceReading, options: SourceOptions) -> None:
    """Say which images have no group; raise `DataError` where groups are declared and none is."""
    declared = options.group_column or options.group_pattern
    alone = [row.path for row in reading.rows if not row.group]
    if declared is not None and len(alone) == len(reading.rows) > 0:
        raise DataError(
            f"no image has a group, though {declared!r} declares them",
            found=", ".join(alone[:3]),
            mend="correct ingestion.source.group_pattern or group_column, or set it to null",
        )
    if alone and len(alone) < len(reading.rows):
        reading.findings.append(
            f"{len(alone)} of {len(reading.rows)} images have no group and stand alone: "
            + ", ".join(alone[:5])
        )


def group_of(path: str, pattern: re.Pattern[str] | None) -> str:
    """The group that a path names: the pattern's groups that matched, joined by ``/``."""
    match = pattern.search(path) if pattern else None
    if match is None:
        return ""
    parts = match.groups() or (match.group(0),)
    return "/".join(part for part in parts if part)


def compile_group_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """Compile a group pattern. Raises `OptionsError` when it is not a regular expression."""
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise OptionsError(
            f"ingestion.source.group_pattern {pattern!r} is not a regular expression",
            found=str(error),
            mend="correct it in the case's parameters",
        ) from error


def is_image_name(name: str) -> bool:
    """Whether the name ends like an image file."""
    return Path(name).suffix.lower() in IMAGE_ENDINGS


def bytes_of(root: Path, path: Path) -> bytes:
    """All of a file that says something of images.

    Raises:
        OSError: for what leads out of the root, has a name that no table can hold, or is refused
            by `read_stated`.
    """
    if not is_readable_name(path.as_posix()):
        raise OSError(NOT_UTF8)
    if not stays_inside(root, path):
        raise OSError(OUTSIDE)
    return read_stated(path)


def lines_of(root: Path, path: Path) -> list[str]:
    """The lines of a text. Raises `DataError` for what `bytes_of` refuses."""
    try:
        return bytes_of(root, path).decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise DataError(
            f"{printable(path.name)} cannot be read",
            found=error.strerror or error,
            mend="put the file itself in its place, or take it away",
        ) from error


def carries_dicom_mark(path: Path) -> bool:
    """Whether a file without an ending of letters (DICOM names are often numbers) is DICOM."""
    if (path.suffix and not path.suffix[1:].isdigit()) or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False


def printable(name: str) -> str:
    """A file name that can be written anywhere: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_readable_name(name: str) -> bool:
    """Whether the name is UTF-8; others cannot be kept in a table."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def stays_inside(root: Path, path: Path) -> bool:
    """Whether the path, links followed, lies below the root."""
    resolved = Path(os.path.realpath(path))
    return resolved.is_relative_to(os.path.realpath(root))
