"""Class folders, with or without given splits above them.

``root/<class>/**``, ``root/<split>/<class>/**``; folders that leave no choice are passed through,
so ``root/GTSRB/Final_Training/Images/<class>/`` is read as it stands.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from graft.vision.data.file_bytes import IRREGULAR
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.reading import (
    IMAGE_ENDINGS,
    NOT_UTF8,
    OUTSIDE,
    SourceReading,
    SourceRow,
    base_of,
    carries_dicom_mark,
    classes_truth,
    compile_group_pattern,
    group_of,
    is_readable_name,
    printable,
    split_named,
    stays_inside,
)


def read_folders(root: Path, options: SourceOptions) -> SourceReading:
    """Read every file below the class folders; the folder's name is the class."""
    reading = SourceReading()
    pattern = compile_group_pattern(options.group_pattern)
    base = base_of(root, options)
    for split, folder in split_folders(base):
        for class_folder in subfolders(pass_through(folder)):
            rows = [
                SourceRow(path, classes_truth([class_folder.name]), split, group_of(path, pattern))
                for path in _usable(root, class_folder, reading)
            ]
            reading.rows += rows
            _doubt_class_folder(class_folder, class_folder.relative_to(root), rows, reading)
    _name_what_is_left_out(root, base, reading)
    return reading


def split_folders(root: Path) -> list[tuple[str, Path]]:
    """The given splits with their folders, or the root alone with an empty split."""
    top = pass_through(root)
    found = [(split_named(folder.name), folder) for folder in subfolders(top)]
    if found and sum(bool(split) for split, _ in found) >= min(2, len(found)):
        return [(split, folder) for split, folder in found if split]
    return [("", top)]


def pass_through(folder: Path) -> Path:
    """Go down while a folder holds nothing but one folder (and no image) that is no split."""
    while True:
        below = subfolders(folder)
        if len(below) != 1 or any(is_image(path) for path in folder.iterdir()):
            return folder
        if split_named(below[0].name) or not subfolders(below[0]):
            return folder
        folder = below[0]


def subfolders(folder: Path) -> list[Path]:
    """The folders below, by name; hidden ones are passed over, and links are not followed."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith((".", "__"))
    )


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below, by name; links to folders are not followed, hidden files passed over."""
    for current, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            if not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini"):
                yield Path(current) / name


def files_like(folder: Path, pattern: str) -> list[Path]:
    """Regular files that match, by name; links that leave the folder are passed over."""
    found = sorted(folder.glob(pattern))
    return [path for path in found if stays_inside(folder, path) and path.is_file()]


def is_image(path: Path) -> bool:
    """Whether the name ends like an image file, or the file has no ending and is DICOM."""
    return path.suffix.lower() in IMAGE_ENDINGS or carries_dicom_mark(path)


def _usable(root: Path, class_folder: Path, reading: SourceReading) -> Iterator[str]:
    """Paths below the root; what cannot be used is refused by name."""
    for file in walk_files(class_folder):
        path = file.relative_to(root).as_posix()
        reason = _fault(root, file, path)
        if reason:
            reading.refuse(path, reason)
        elif is_image(file):
            yield path


def _fault(root: Path, file: Path, path: str) -> str:
    """Why a file cannot be used, or an empty string."""
    ending = file.suffix.lower()
    if not is_image(file):
        notes = (".csv", ".txt", ".json", ".xml", ".md", ".yml", ".yaml")
        return (
            ""
            if ending in notes
            else f"no image file (ends with {ending or 'nothing'}); take it out"
        )
    if not is_readable_name(path):
        return NOT_UTF8
    if file.is_symlink() and not stays_inside(root, file):
        return OUTSIDE
    return "" if file.is_file() else IRREGULAR


def _doubt_class_folder(
    folder: Path, name: Path, rows: list[SourceRow], reading: SourceReading
) -> None:
    if not rows:
        reading.findings.append(f"class folder {name} holds no image")
    splits = [below.name for below in subfolders(folder) if split_named(below.name)]
    if splits:
        reading.findings.append(
            f"class folder {name} holds folders named like splits ({', '.join(splits)}): "
            "is ingestion.source.folder set too high?"
        )


def _name_what_is_left_out(root: Path, base: Path, reading: SourceReading) -> None:
    """Images beside the class folders, or in folders beside the splits, have no class."""
    known = {row.path for row in reading.rows} | {row["file"] for row in reading.quarantine}
    paths = (path.relative_to(root).as_posix() for path in walk_files(base) if is_image(path))
    left = [printable(path) for path in paths if printable(path) not in known]
    if left:
        reading.findings.append(
            f"{len(left)} images lie outside the class folders and are not used: "
            + ", ".join(left[:5])
        )
    links = [
        printable((Path(current) / name).relative_to(root).as_posix())
        for current, folders, _ in os.walk(base)
        for name in folders
        if (Path(current) / name).is_symlink()
    ]
    if links:
        reading.findings.append(
            f"links to folders are not followed: {', '.join(sorted(links)[:5])}"
        )
