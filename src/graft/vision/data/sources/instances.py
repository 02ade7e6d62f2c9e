"""Instance masks beside images: each value but 0 is one object (Penn-Fudan's ``PedMasks``).

With ``truth: boxes`` each object becomes a box; with ``truth: masks`` all of them become one class
on ``background``. ``class_names`` names the class.
"""

from pathlib import Path

from graft.vision.data.mask_files import MaskRule
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.mask_folders import add_mask_rows, pair_masks
from graft.vision.data.sources.places import ImageIndex
from graft.vision.data.sources.reading import SourceReading, base_of
from graft.vision.errors import DataError


def read_instances(root: Path, options: SourceOptions) -> SourceReading:
    """Read one row per image that has an instance mask.

    Raises:
        DataError: when no mask is found, or ``class_names`` does not name exactly one class.
    """
    reading = SourceReading()
    base = base_of(root, options)
    if len(options.class_names) != 1:
        raise DataError(
            "the class of the instances is not named",
            found=list(options.class_names),
            mend="name one class in ingestion.source.class_names",
        )
    index = ImageIndex(root, base, reading)
    pairs = pair_masks(index.paths, index.prefix, options)
    if not pairs.masks:
        raise DataError(
            f"no image with an instance mask in {base}",
            found=f"{len(pairs.bare_images)} images, {len(pairs.bare_masks)} masks",
            mend="name ingestion.source.images_folder, masks_folder or pair_pattern",
        )
    rest = () if options.truth == "boxes" else (_rest(options),)
    names = (*rest, *options.class_names)
    reading.mask_rule = MaskRule("instances", names, pages=options.mask_pages, truth=options.truth)
    add_mask_rows(root, base, index, pairs, options, reading)
    return reading


def _rest(options: SourceOptions) -> str:
    if options.background is None:
        raise DataError(
            "instances as masks need a class for the rest",
            mend="name ingestion.source.background",
        )
    return options.background
