"""Images found by what annotators call them: a path, a path of another machine, or a bare name.

Only files that lie in the raw folder are ever looked among, so no annotation can reach outside.
"""

from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from graft.vision.data.file_bytes import IRREGULAR
from graft.vision.data.sources.folders import is_image, walk_files
from graft.vision.data.sources.reading import (
    NOT_UTF8,
    OUTSIDE,
    SourceReading,
    is_image_name,
    is_readable_name,
    split_named,
    stays_inside,
)

MASK_FOLDERS = frozenset(
    ("mask", "masks", "segmentationclass", "segmentationobject", "segmentationclassaug")
)


class Place(NamedTuple):
    """Where an image lies below the raw folder; empty when it is not found.

    ``how`` is empty for what was stated in full or by a bare name, else says what differed:
    ``prefix``, ``ending``, ``prefix and ending``, ``missing`` or ``several``.
    """

    path: str
    how: str = ""


class ImageIndex:
    """The images below a folder of the raw folder.

    Args:
        root: the raw folder.
        base: the folder to look in.
        reading: is told of files that cannot be used.
        skip: says of a path below ``base`` that it is no image of this kind (a mask, say).
    """

    def __init__(
        self,
        root: Path,
        base: Path,
        reading: SourceReading,
        skip: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self.prefix = base.relative_to(root).as_posix()
        self.paths: list[str] = []
        """Below the raw folder, by name."""
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in walk_files(base):
            if is_image(file) and not skip(file.relative_to(base).as_posix()):
                self._add(root, file, reading)

    def _add(self, root: Path, file: Path, reading: SourceReading) -> None:
        path = file.relative_to(root).as_posix()
        if not is_readable_name(path):
            reading.refuse(path, NOT_UTF8)
        elif file.is_symlink() and not stays_inside(root, file):
            reading.refuse(path, OUTSIDE)
        elif not file.is_file():
            reading.refuse(path, IRREGULAR)
        else:
            self.paths.append(path)
            self._by_name.setdefault(file.name, []).append(path)
            self._by_stem.setdefault(stem_of(file.name), []).append(path)

    def keep(self, paths: Collection[str]) -> None:
        """Forget every image but these."""
        self.paths = [path for path in self.paths if path in paths]
        for table in (self._by_name, self._by_stem):
            for name, found in list(table.items()):
                table[name] = [path for path in found if path in paths]
                if not table[name]:
                    del table[name]

    def find(self, stated: str, near: str = "") -> Place:
        """Find an image by what an annotation calls it.

        Args:
            stated: a path or a name, with or without an ending.
            near: a folder below the raw folder; of several images the one most like it is taken.
        """
        parts = _parts(stated)
        if not parts:
            return Place("", "missing")
        found, ending = self._by_name.get(parts[-1]), ""
        if found is None:
            found = self._by_stem.get(stem_of(parts[-1]))
            ending = "ending" if is_image_name(parts[-1]) else ""
        if found is None:
            return Place("", "missing")
        nearby = _parts(near)
        ranked = sorted((_likeness(path, parts, nearby), path) for path in found)
        if len(ranked) > 1 and ranked[-1][0] == ranked[-2][0]:
            return Place("", "several")
        (common, _), path = ranked[-1]
        prefix = "prefix" if common < len(parts) - 1 else ""
        return Place(path, " and ".join(word for word in (prefix, ending) if word))


def lies_among_masks(path: str) -> bool:
    """Whether a folder in the path holds masks by its name."""
    return any(part.lower() in MASK_FOLDERS for part in _parts(path)[:-1])


def stem_of(name: str) -> str:
    """The name without its ending, where that is one of images; ``a.rf.1`` stays whole."""
    return name[: -len(PurePosixPath(name).suffix)] if is_image_name(name) else name


def split_of_path(path: str) -> str:
    """The split that a folder in a path names; the first one that does."""
    return next((split for part in _parts(path)[:-1] if (split := split_named(part))), "")


def _parts(path: str) -> list[str]:
    parts = [part for part in path.replace("\\", "/").strip().split("/") if part not in ("", ".")]
    while ".." in parts:
        parts = parts[parts.index("..") + 1 :]
    return parts


def _likeness(path: str, stated: list[str], near: list[str]) -> tuple[int, int]:
    """How many parents agree with those stated, from the last on; and with those nearby."""
    folders = path.split("/")[:-1]
    common = 0
    for ours, theirs in zip(reversed(folders), reversed(stated[:-1]), strict=False):
        if ours != theirs:
            break
        common += 1
    return common, len(set(folders) & set(near))
