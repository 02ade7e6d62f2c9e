"""Semantic masks: folders of images and folders of masks beside each other.

``images/`` and ``masks/``, with splits above or below; ``train`` and ``trainannot``; one folder
with ``x.jpg`` and ``x_mask.png``; Cityscapes' and ADE20K's trees. Values or colours are named by a
class table in the folder, by ``ingestion.source.class_names``, or by the convention.
"""

from pathlib import Path

from PIL import Image

from graft.vision.data.decoding import FORMATS
from graft.vision.data.mask_files import Colour, MaskRule, number_names
from graft.vision.data.masks import IGNORED
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.class_tables import (
    ClassNames,
    find_class_table,
    read_class_table,
)
from graft.vision.data.sources.conventions import CONVENTIONS, Convention
from graft.vision.data.sources.lists import find_lists, name_unlisted, read_lists
from graft.vision.data.sources.mask_pairs import Pairs, find_pairs
from graft.vision.data.sources.places import ImageIndex, split_of_path
from graft.vision.data.sources.reading import (
    SourceReading,
    SourceRow,
    base_of,
    compile_group_pattern,
    group_of,
)
from graft.vision.errors import DataError, UnusableImageError

_LIST_FOLDERS = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets", "")


def read_mask_folders(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that has a mask.

    Raises:
        DataError: when no mask is found, or nothing names their values.
    """
    reading = SourceReading()
    base = base_of(root, options)
    index = ImageIndex(root, base, reading, skip=_holds_instances)
    pairs = pair_masks(index.paths, index.prefix, options)
    if not pairs.masks:
        raise DataError(
            f"no image with a mask in {base}",
            found=f"{len(pairs.bare_images)} images, {len(pairs.bare_masks)} masks",
            mend="name ingestion.source.images_folder, masks_folder or pair_pattern",
        )
    reading.mask_rule = mask_rule_of(base, root / next(iter(pairs.masks.values())), options)
    add_mask_rows(root, base, index, pairs, options, reading)
    return reading


def _holds_instances(path: str) -> bool:
    return "segmentationobject" in path.lower().split("/")


def pair_masks(paths: list[str], prefix: str, options: SourceOptions) -> Pairs:
    """Pair the paths of a case's folder, by its convention."""
    convention = CONVENTIONS[options.convention]
    head = "" if prefix == "." else f"{prefix}/"
    pattern = compile_group_pattern(options.pair_pattern)
    found = find_pairs(
        [path.removeprefix(head) for path in paths],
        options.images_folder,
        options.masks_folder,
        pattern,
        convention.image_ending,
        [ending for ending, _ in convention.mask_endings],
    )
    return Pairs(
        {f"{head}{image}": f"{head}{mask}" for image, mask in found.masks.items()},
        [f"{head}{path}" for path in found.bare_images],
        [f"{head}{path}" for path in found.bare_masks],
        [(f"{head}{path}", several) for path, several in found.unclear],
    )


def mask_rule_of(base: Path, some_mask: Path, options: SourceOptions) -> MaskRule:
    """How this case's masks are read.

    Args:
        base: the case's folder.
        some_mask: one mask; its name's ending, and whether it holds colours, choose among a
            convention's tables.
        options: of the source.

    Raises:
        DataError: when nothing names values or colours, or there are too many names.
    """
    convention = CONVENTIONS[options.convention]
    stated = _stated_names(base, some_mask, options, convention)
    ordered = stated.names
    try:
        names, numbers = number_names(ordered, options.ignored_classes)
    except UnusableImageError as error:
        raise DataError(str(error), mend="fewer classes, or more in ignored_classes") from error
    if options.mask_values == "binary":
        if len(ordered) != 2:
            raise DataError(
                "binary masks have two classes", found=ordered, mend="name both in class_names"
            )
        low, high = (numbers[name] for name in ordered)
        return MaskRule("classes", names, {0: low, 1: high, 255: high}, pages=options.mask_pages)
    ignored = (*options.ignored_values, *convention.ignored_values)
    values = dict.fromkeys(ignored, IGNORED)
    values |= {value: numbers[name] for value, name in stated.values.items()}
    colours: dict[Colour, int] = dict.fromkeys(convention.ignored_colours, IGNORED)
    colours |= {colour: numbers[name] for colour, name in stated.colours.items()}
    return MaskRule(
        "classes",
        names,
        values,
        colours if stated.colours else {},
        divisor=convention.divisor,
        pages=options.mask_pages,
    )


def _stated_names(
    base: Path, some_mask: Path, options: SourceOptions, convention: Convention
) -> ClassNames:
    """Names by the case's own list, its class table, or the convention; the first there is."""
    if options.class_names:
        first = 1 if options.convention == "ade" else 0
        return ClassNames(dict(enumerate(options.class_names, start=first)))
    table = find_class_table(base, options.class_table)
    if table is not None:
        return read_class_table(table)
    for ending, names in convention.mask_endings:
        if ending and some_mask.stem.endswith(ending):
            return names
    if convention.names.values:
        return convention.names if options.convention == "voc" else _one_of(convention, some_mask)
    raise DataError(
        f"nothing names the values of the masks in {base}",
        allowed="classes.txt, label_colors.txt, labelmap.txt, class_dict.csv, dataset_meta.json",
        mend="write one, or list ingestion.source.class_names by value from 0 on",
    )


def _one_of(convention: Convention, some_mask: Path) -> ClassNames:
    """The convention's names of values, or of colours where this mask holds them."""
    try:
        with Image.open(some_mask, formats=FORMATS) as image:
            coloured = image.mode.startswith("RGB")
    except Exception:  # ingestion will say what is wrong with it
        coloured = False
    names = convention.names
    if coloured:
        return ClassNames(dict(enumerate(names.colours.values())), names.colours)
    return ClassNames(names.values)


def add_mask_rows(
    root: Path,
    base: Path,
    index: ImageIndex,
    pairs: Pairs,
    options: SourceOptions,
    reading: SourceReading,
) -> None:
    """Add a row per pair, with its split by lists where there are any, else by folders."""
    several = dict(pairs.unclear)
    index.keep({*pairs.masks, *pairs.bare_images, *several})
    lists = read_lists(root, find_lists(base, _LIST_FOLDERS), index, reading)
    pattern = compile_group_pattern(options.group_pattern)
    for image in index.paths:
        if lists and image not in lists.splits:
            continue
        mask = pairs.masks.get(image)
        if mask is None:
            found = ", ".join(several.get(image, ())[:3])
            what = f"more than one mask ({found}); keep one" if found else "no mask; draw one"
            reading.refuse(image, f"image with {what}")
            continue
        split = lists.splits[image] if lists else split_of_path(image)
        group = group_of(image, pattern)
        reading.rows.append(SourceRow(image, "", split, group, mask, mask=mask))
    for mask in pairs.bare_masks:
        reading.refuse(mask, "mask without an image; bring the image or take the mask out")
    if lists:
        name_unlisted([path for path in index.paths if path not in lists.splits], lists, reading)
