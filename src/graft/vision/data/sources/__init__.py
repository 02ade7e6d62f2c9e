"""Readers, one module per layout: a raw folder in, rows of path, truth, split, group out."""

from collections.abc import Callable
from pathlib import Path

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.boxes_csv import read_boxes_csv
from graft.vision.data.sources.class_names import name_twin_files, settle_class_names
from graft.vision.data.sources.coco import read_coco
from graft.vision.data.sources.folders import read_folders
from graft.vision.data.sources.instances import read_instances
from graft.vision.data.sources.labelme import read_labelme
from graft.vision.data.sources.mask_folders import read_mask_folders
from graft.vision.data.sources.reading import (
    SourceReading,
    SourceRow,
    check_groups,
    printable,
)
from graft.vision.data.sources.table import read_table
from graft.vision.data.sources.torchvision import read_torchvision
from graft.vision.data.sources.voc import read_voc
from graft.vision.data.sources.yolo import read_yolo
from graft.vision.errors import DataError

__all__ = ["LAYOUTS", "SourceReading", "SourceRow", "read_source"]

LAYOUTS: dict[str, Callable[[Path, SourceOptions], SourceReading]] = {
    "folders": read_folders,
    "table": read_table,
    "torchvision": read_torchvision,
    "voc": read_voc,
    "coco": read_coco,
    "yolo": read_yolo,
    "boxes_csv": read_boxes_csv,
    "masks": read_mask_folders,
    "instances": read_instances,
    "labelme": read_labelme,
}


def read_source(root: Path, options: SourceOptions) -> SourceReading:
    """Read the raw folder by its layout.

    Raises:
        DataError: when the folder is missing or holds nothing that the layout could use, or when
            groups are declared and no image has one.
    """
    if not root.is_dir():
        raise DataError(f"no raw data at {root}", mend="bring it with `kedro case create`")
    reading = LAYOUTS[options.layout](root, options)
    if not reading.rows:
        raise DataError(
            f"no image with a label found in {root / options.folder} as layout {options.layout!r}",
            found="; ".join([f"{len(reading.quarantine)} unusable rows", *_first_words(reading)]),
            mend="check ingestion.source in the case's parameters",
        )
    settle_class_names(reading)
    name_twin_files(reading)
    check_groups(reading, options)
    reading.findings = [printable(finding) for finding in reading.findings]
    return reading


def _first_words(reading: SourceReading) -> list[str]:
    refused = [f"{row['row'] or row['file']}: {row['reason']}" for row in reading.quarantine[:3]]
    return [*refused, *reading.findings[:3]]
