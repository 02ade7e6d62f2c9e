"""Class folders, with or without given splits above them.

``root/<class>/**``, ``root/<split>/<class>/**``; folders that leave no choice are passed through,
so ``root/GTSRB/Final_Training/Images/<class>/`` is read as it stands.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.reading import (
    IMAGE_ENDINGS,
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
        top = pass_through(folder)
        for class_folder in subfolders(top):
            count = 0
            for file in walk_files(class_folder):
                row = _row(root, file, class_folder.name, split, reading)
                if row is not None:
                    group = group_of(row.path, pattern)
                    reading.rows.append(SourceRow(row.path, row.truth, split, group))
                    count += 1
            if count == 0:
                where = class_folder.relative_to(root)
                reading.findings.append(f"class folder {where} holds no image")
    _compare_class_names(reading)
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
    """The folders below, by name; hidden ones are passed over."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))
    )


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below, by name; links to folders are not followed, hidden files passed over."""
    for current, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            if not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini"):
                yield Path(current) / name


def is_image(path: Path) -> bool:
    """Whether the name ends like an image file, or the file has no ending and is DICOM."""
    return path.suffix.lower() in IMAGE_ENDINGS or carries_dicom_mark(path)


def _row(
    root: Path, file: Path, class_name: str, split: str, reading: SourceReading
) -> SourceRow | None:
    path = file.relative_to(root).as_posix()
    if not is_image(file):
        if file.suffix.lower() not in (".csv", ".txt", ".json", ".xml", ".md", ".yml", ".yaml"):
            reading.refuse(path, f"no image file (ends with {file.suffix or 'nothing'})")
        return None
    if not is_readable_name(path):
        reading.refuse(path, "the name is not UTF-8; rename the file")
    elif file.is_symlink() and not stays_inside(root, file):
        reading.refuse(path, "a link that leaves the raw folder")
    elif not file.is_file():
        reading.refuse(path, "not a regular file")
    else:
        return SourceRow(path, classes_truth([class_name]), split)
    return None


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


def _compare_class_names(reading: SourceReading) -> None:
    """Say where class names differ in case or blanks only; they are never merged."""
    names = {row.truth for row in reading.rows}
    folded = Counter(name.lower().replace(" ", "") for name in names)
    for fold, count in sorted(folded.items()):
        if count > 1:
            same = sorted(name for name in names if name.lower().replace(" ", "") == fold)
            reading.findings.append(f"class names differ in case or blanks only: {same}")
