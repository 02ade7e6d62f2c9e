"""Splits given by list files: ``train.txt``, ``val.txt``, ``test.txt`` with one image per line."""

from dataclasses import dataclass, field
from pathlib import Path

from graft.vision.data.sources.places import ImageIndex
from graft.vision.data.sources.reading import (
    SEVERAL,
    SourceReading,
    is_image_name,
    lines_of,
    split_named,
)

LIST_FOLDERS = ("ImageSets/Main", "ImageSets/Segmentation", "ImageSets", "")
JUDGES_FIRST = ("test", "val", "train", "")
"""Who keeps an image that stands in two lists: the one that judges."""


@dataclass
class Lists:
    """The split of each listed image by path; ``files`` are the lists that were read."""

    splits: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.splits)


def find_lists(base: Path, folders: tuple[str, ...] = LIST_FOLDERS) -> dict[Path, str]:
    """The list files of the first folder that holds any, with their splits.

    ``trainval`` counts as train where there is no ``train``.
    """
    for folder in folders:
        place = base / folder
        if not place.is_dir():
            continue
        texts = sorted(path for path in place.iterdir() if path.suffix.lower() == ".txt")
        found = {path: split for path in texts if (split := split_named(path.stem))}
        if "train" not in found.values():
            found |= {path: "train" for path in texts if path.stem.lower() == "trainval"}
        if found:
            return found
    return {}


def read_lists(
    root: Path, lists: dict[Path, str], index: ImageIndex, reading: SourceReading
) -> Lists:
    """Find every listed image; what is not there, or stands in two lists, is reported by line."""
    result = Lists()
    for path, split in sorted(lists.items()):
        result.files.append(path.relative_to(root).as_posix())
        _read_list(result, lines_of(root, path), split, index, reading)
    return result


def _read_list(
    result: Lists, lines: list[str], split: str, index: ImageIndex, reading: SourceReading
) -> None:
    differing: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        row = f"{result.files[-1]}:{number}"
        first, whole = line.split()[0], line.strip()
        # A second name in the line is the mask's; a blank may also belong to the image's name.
        for stated in (first, whole) if is_image_name(first) else (whole, first):
            place = index.find(stated, near=split)
            if place.path:
                break
        if not place.path:
            several = place.how == "several"
            what = SEVERAL if several else "there is no such image; bring it or take its line out"
            reading.refuse(stated, f"listed, but {what}", row)
            continue
        if place.how:
            differing.setdefault(place.how, []).append(f"{stated} is {place.path}")
        _enter(result, place.path, split, row, reading)
    for how, named in differing.items():
        reading.findings.append(
            f"{result.files[-1]}: {len(named)} lines name images with another {how}; found by the "
            f"rest of their names, e.g. {named[0]}"
        )


def _enter(result: Lists, path: str, split: str, row: str, reading: SourceReading) -> None:
    before = result.splits.get(path)
    if before is None or before == split:
        result.splits[path] = split
        return
    kept = min(before, split, key=JUDGES_FIRST.index)
    result.splits[path] = kept
    reading.leave_out(
        path, f"listed in {before} and in {split}; kept in {kept}, take it out of the other", row
    )


def name_unlisted(unlisted: list[str], lists: Lists, reading: SourceReading) -> None:
    """Say which images stand in no list: they are not used."""
    if unlisted:
        reading.findings.append(
            f"{len(unlisted)} images stand in none of {', '.join(lists.files)} and are not used: "
            + ", ".join(sorted(unlisted)[:5])
        )
