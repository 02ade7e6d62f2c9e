"""Which mask belongs to which image: by folders beside each other, and by names alike."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from graft.vision.data.sources.places import stem_of
from graft.vision.data.sources.reading import split_named

_MASK_WORDS = (
    *("mask", "masks", "annot", "annots", "annotation", "annotations", "label", "labels", "gt"),
    *("semseg", "gtleft", "seg", "segmentation", "segmentations", "segmentationclass", "target"),
    *("targets", "truth", "ground_truth", "groundtruth", "gtfine", "gtcoarse", "pedmasks"),
    *("manual", "1st_manual"),
)
_IMAGE_WORDS = (
    *("image", "images", "img", "imgs", "rgb", "rgbleft", "jpegimages", "pngimages", "input"),
    *("inputs", "original", "originals", "raw", "photo", "photos", "picture", "pictures"),
    *("leftimg8bit", "data", "frames"),
)
_MASK_TOKENS = ("mask", "masks", "gt", "label", "labels", "seg", "segmentation", "annotation", "l")
_IMAGE_TOKENS = ("image", "img", "im", "sat", "rgb", "photo", "frame", "volume")


@dataclass
class Pairs:
    """``masks`` by image path; images without a mask, masks without an image, unclear ones."""

    masks: dict[str, str] = field(default_factory=dict)
    bare_images: list[str] = field(default_factory=list)
    bare_masks: list[str] = field(default_factory=list)
    unclear: list[tuple[str, list[str]]] = field(default_factory=list)


def find_pairs(
    paths: Iterable[str],
    images_folder: str,
    masks_folder: str,
    pattern: re.Pattern[str] | None,
    image_ending: str = "",
    mask_endings: Iterable[str] = ("",),
) -> Pairs:
    """Pair images and masks.

    Args:
        paths: of all image files, below the case's folder.
        images_folder, masks_folder: where they lie; found by the usual names when empty.
        pattern: gives what is alike in the names of a pair; the usual endings when None.
        image_ending, mask_endings: of names without their file ending; of several masks of one
            image the first ending counts.
    """
    listed = sorted(paths)
    sides = _Sides(images_folder, masks_folder, image_ending, tuple(mask_endings))
    sides.by_token = not any(sides.is_in_mask_folder(path) for path in listed)
    images: dict[str, list[str]] = {}
    masks: dict[str, list[str]] = {}
    for path in listed:
        for is_mask, twin in sides.of(path):
            (masks if is_mask else images).setdefault(twin, []).append(path)
    pairs = Pairs()
    for twin in sorted({*images, *masks}):
        _pair(pairs, images.get(twin, []), masks.get(twin, []), sides, pattern)
    return pairs


def _pair(
    pairs: Pairs,
    images: list[str],
    masks: list[str],
    sides: "_Sides",
    pattern: re.Pattern[str] | None,
) -> None:
    """Pair by what is alike; equal names first, so that a word in both is no ending of one."""
    ways: list[Callable[[str, bool], str]] = [sides.plain, sides.bare]
    if pattern is not None:
        ways = [lambda path, is_mask: _by_pattern(path, pattern)]
    used: set[str] = set()
    for way in ways:
        by_key: dict[str, list[str]] = {}
        for mask in masks:
            by_key.setdefault(way(mask, True), []).append(mask)
        counts = Counter(way(image, False) for image in images)
        left = []
        for image in images:
            key = way(image, False)
            found = sides.best([mask for mask in by_key.get(key, []) if mask not in used])
            if not found:
                left.append(image)
            elif len(found) == 1 and counts[key] == 1:
                pairs.masks[image] = found[0]
            else:
                pairs.unclear.append((image, found))
            used |= set(by_key.get(key, [])) if found and counts[key] == 1 else set()
        images = left
    taken = used | {mask for _, several in pairs.unclear for mask in several}
    pairs.bare_images += images
    pairs.bare_masks += [mask for mask in masks if mask not in taken]


def is_mask_word(folder: str) -> bool:
    """Whether a folder's name is a usual word for masks."""
    return folder.lower() in _MASK_WORDS


def mask_word(folder: str, beside: Iterable[str] = ()) -> str:
    """What the folder of a mask stands for: a usual word, or another folder's name and one.

    ``trainannot`` beside ``train`` gives ``train``; ``masks`` gives ``*``; others give nothing.
    """
    low = folder.lower()
    if low in _MASK_WORDS:
        return "*"
    for other in beside:
        rest = low.removeprefix(other.lower()).strip("_- ") if low != other.lower() else ""
        if low.startswith(other.lower()) and rest in _MASK_WORDS:
            return other
    return ""


class _Sides:
    """Says of a path whether it is image or mask, and what its folders share with its twin's."""

    by_token = True
    """Whether names alone, as ``x_mask.png``, make a mask: not where folders do."""

    def __init__(
        self, images_folder: str, masks_folder: str, image_ending: str, endings: tuple[str, ...]
    ) -> None:
        self._images, self._masks = images_folder.strip("/"), masks_folder.strip("/")
        self._image_ending, self._mask_endings = image_ending, endings

    def of(self, path: str) -> Iterator[tuple[bool, str]]:
        """``(is a mask, folders in common)``; nothing for files that are neither."""
        stem = stem_of(PurePosixPath(path).name)
        found = self._split(PurePosixPath(path).parent.as_posix(), stem)
        if found is not None:
            endings = self._mask_endings if found[0] else (self._image_ending,)
            if stem.endswith(endings):
                yield found

    def is_in_mask_folder(self, path: str) -> bool:
        """Whether the folders of a path say that it is a mask."""
        parts = PurePosixPath(path).parts[:-1]
        folder = "/".join(parts)
        if self._masks:
            return _below(folder, self._masks)
        return any(mask_word(part, _split_words(part)) for part in parts)

    def best(self, masks: list[str]) -> list[str]:
        """Those whose ending comes first in the convention."""
        ranks = {mask: self._rank(mask) for mask in masks}
        return [mask for mask in masks if ranks[mask] == min(ranks.values())]

    def plain(self, path: str, is_mask: bool) -> str:
        """The name without the convention's ending."""
        stem = stem_of(PurePosixPath(path).name)
        if is_mask:
            return stem.removesuffix(self._mask_endings[self._rank(path)])
        return stem.removesuffix(self._image_ending)

    def bare(self, path: str, is_mask: bool) -> str:
        """The name without a usual word for masks or images, as ``0001`` of ``gt_0001``."""
        stem = self.plain(path, is_mask)
        tokens = _MASK_TOKENS if is_mask else _IMAGE_TOKENS
        for joint in "_-. ":
            head, _, rest = stem.partition(joint)
            if rest and head.lower() in tokens:
                return rest
            rest, _, tail = stem.rpartition(joint)
            if rest and tail.lower() in tokens:
                return rest
        return stem

    def _rank(self, path: str) -> int:
        stem = stem_of(PurePosixPath(path).name)
        return next((n for n, ending in enumerate(self._mask_endings) if stem.endswith(ending)), 0)

    def _split(self, folder: str, stem: str) -> tuple[bool, str] | None:
        if self._masks:
            if _below(folder, self._masks):
                return True, _rest(folder, self._masks)
            inside = _below(folder, self._images)
            return (False, _rest(folder, self._images)) if inside else None
        parts = [] if folder == "." else folder.split("/")
        for place, part in enumerate(parts):
            word = mask_word(part, _split_words(part))
            if word:
                kept = [] if word == "*" else [word]
                return True, "/".join([*parts[:place], *kept, *_plain(parts[place + 1 :])])
        if self.by_token and has_mask_token(stem):
            return True, "/".join(_plain(parts))
        if self._images and not _below(folder, self._images):
            return None
        return False, "/".join(_plain(parts))


def _split_words(part: str) -> list[str]:
    """Names of splits that a folder's name begins with, as ``train`` in ``trainannot``."""
    return [part[:n] for n in range(len(part) - 1, 1, -1) if split_named(part[:n])]


def _plain(parts: list[str]) -> list[str]:
    return [part for part in parts if part.lower() not in _IMAGE_WORDS]


def _below(folder: str, parent: str) -> bool:
    return not parent or folder == parent or folder.startswith(f"{parent}/")


def _rest(folder: str, parent: str) -> str:
    return folder.removeprefix(parent).strip("/")


def has_mask_token(stem: str) -> bool:
    """Whether a name begins or ends with a word for masks, as ``x_mask`` or ``gt_x``."""
    words = [word.lower() for word in re.split(r"[_\-. ]", stem)]
    return len(words) > 1 and (words[-1] in _MASK_TOKENS or words[0] in _MASK_TOKENS)


def _by_pattern(path: str, pattern: re.Pattern[str]) -> str:
    stem = stem_of(PurePosixPath(path).name)
    match = pattern.search(stem)
    return "/".join(part for part in match.groups() if part) if match else f"?{stem}"
