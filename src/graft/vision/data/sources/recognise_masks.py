"""Look at a folder for masks: which layout reads them, and with what options."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graft.vision.data.decoding import FORMATS
from graft.vision.data.mask_files import count_pages
from graft.vision.data.mask_values import values_in
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.class_tables import find_class_table
from graft.vision.data.sources.conventions import CONVENTIONS
from graft.vision.data.sources.folders import is_image, subfolders, walk_files
from graft.vision.data.sources.mask_folders import pair_masks, read_mask_folders
from graft.vision.data.sources.reading import split_named
from graft.vision.data.sources.recognise_boxes import (
    PARTS,
    Found,
    look_for_instances,
    look_for_labelme,
    read_as,
)
from graft.vision.errors import DataError, GraftError

_SAMPLE = 300
"""Masks whose values are looked at, spread over the folder."""


def recognise_masks(root: Path, base: Path) -> tuple[str, Found] | None:
    """The layout that reads masks in a folder of the root, with what it read; or None.

    Raises:
        DataError: for masks of colours or numbers that nothing names and no name can be made for.
    """
    looks: dict[str, Callable[[Path, Path], Found | None]] = {
        "instances": lambda root, base: look_for_instances(root, base, truth="masks"),
        "labelme": lambda root, base: look_for_labelme(root, base, truth="masks"),
    }
    for layout, look in looks.items():
        try:
            found = look(root, base)
        except GraftError:
            continue
        if found is not None and found[1].rows:
            return layout, found
    masks = _masks(root, base)
    return ("masks", masks) if masks is not None else None


def _convention_of(base: Path) -> str:
    names = {folder.name.lower() for folder in subfolders(base)}
    if "leftimg8bit" in names and names & {"gtfine", "gtcoarse"}:
        return "cityscapes"
    if "segmentationclass" in names:
        return "voc"
    if "annotations" in names and (
        (base / "objectInfo150.txt").is_file() or (base / "annotations/training").is_dir()
    ):
        return "ade"
    return "camvid" if any(f"{name}annot" in names for name in names) else "plain"


def _masks(root: Path, base: Path) -> Found | None:
    convention = _convention_of(base)
    options: dict[str, Any] = {} if convention == "plain" else {"convention": convention}
    paths = [p.relative_to(root).as_posix() for p in walk_files(base) if is_image(p)]
    prefix = base.relative_to(root).as_posix()
    pairs = pair_masks(paths, prefix, SourceOptions.parse(options, "source"))
    # VOC has masks for some of its images only.
    some = convention == "voc"
    if not pairs.masks or (len(pairs.masks) < len(pairs.bare_images) and not some):
        return None
    if _lie_deeper(pairs.masks, base.relative_to(root)):
        return None
    doubts: list[str] = []
    known = CONVENTIONS[convention]
    masks = [root / mask for mask in sorted(pairs.masks.values())]
    if find_class_table(base, None) is None and not known.names.values and not known.divisor:
        options = {**options, **_invented_names(masks, options, doubts)}
    options = {**options, **_pages_of(masks, doubts)}
    return read_as(read_mask_folders, root, base, options, doubts)


def _lie_deeper(masks: Mapping[str, str], below: Path) -> bool:
    """Whether all pairs lie in one folder, which is then the one to look at."""
    depth = len(below.parts)
    tops = {tuple(path.split("/")[depth:-1][:1]) for path in (*masks, *masks.values())}
    top = next(iter(tops))
    if len(tops) > 1 or not top:
        return False
    return not split_named(top[0]) and top[0].lower() not in PARTS


def _invented_names(
    masks: list[Path], options: dict[str, Any], doubts: list[str]
) -> dict[str, Any]:
    """Names for the values that masks hold. Raises `DataError` where none can be made."""
    values: set[int] = set()
    for path in masks[:: max(1, len(masks) // _SAMPLE)]:
        values |= _values_in(path)
    judged = sorted(values - {255})
    if values and values <= {0, 255}:
        doubts.append("nothing names the two values of the masks: named background and foreground")
        return {"class_names": ["background", "foreground"], "mask_values": "binary"}
    if not judged or judged[-1] > 254:
        raise DataError(
            "mask folders whose values nothing names",
            found=f"values up to {max(values, default=0)}",
            allowed="0 to 254, and 255 where nobody judges",
            mend="write classes.txt, or choose layout instances where each value is one object",
        )
    first = 1 if options.get("convention") == "ade" else 0
    doubts.append("nothing names the values of the masks; class_names are invented, correct them")
    return {"class_names": [f"class {value}" for value in range(first, judged[-1] + 1)]}


def _values_in(path: Path) -> set[int]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > 50_000_000:
                return set()
            pixels = np.asarray(image)
            if image.mode == "P":
                shown = set(values_in(np.asarray(image.convert("RGB"))).tolist())
                if shown <= {0, 0xFFFFFF}:
                    return {min(colour, 255) for colour in shown}
    except Exception:  # ingestion will say what is wrong with it
        return set()
    if pixels.dtype.kind not in "bui":
        return set()
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        colours = values_in(pixels[:, :, :3])
        if (colours % 0x010101).any():
            raise DataError(
                "mask folders whose colours nothing names",
                found=f"{path.name} holds colours",
                mend="write label_colors.txt with a line `r g b name` per class beside the folders",
            )
        return set((colours // 0x010101).tolist())
    plane = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    scale = 255 if pixels.dtype == bool else 1
    return {int(value) * scale for value in values_in(plane)}


def _pages_of(masks: list[Path], doubts: list[str]) -> dict[str, Any]:
    try:
        with Image.open(masks[0], formats=FORMATS) as image:
            pages = count_pages(image)
    except Exception:  # ingestion will say what is wrong with it
        return {}
    if pages < 2:
        return {}
    doubts.append(
        f"masks hold {pages} pages; only the first is used, with the first frame of their images "
        "(ingestion.decoding.frames: first): unpack the stacks to use all, or set mask_pages to "
        "classes where each page is one"
    )
    return {"mask_pages": "first"}
