"""Each node calls the library; heavy imports wait until the node runs."""

from pathlib import Path
from typing import Any

from graft.vision.data.options import IngestionOptions

Table = Any


def read_manifest(
    raw: Path, pixel_folder: Path, options: IngestionOptions
) -> tuple[Table, Table, list[str]]:
    """Hash every file, decode what is new, quarantine what cannot be used."""
    from graft.vision.data.manifest import build_manifest
    from graft.vision.data.pixels import PixelStore

    ingested = build_manifest(raw, PixelStore(pixel_folder, options.decoding), options)
    return ingested.manifest, ingested.quarantine, ingested.findings


def find_near_copies(manifest: Table, pixel_folder: Path, options: IngestionOptions) -> Table:
    """Exact and near copies, as pairs of ids."""
    from graft.vision.data.near_copies import find_near_copies, open_fingerprints
    from graft.vision.data.pixels import PixelStore

    pixels = PixelStore(pixel_folder, options.decoding)
    cache = open_fingerprints(pixel_folder.parent / "fingerprints", options.decoding)
    return find_near_copies(manifest, pixels, cache, options.near_copies).pairs


def split_manifest(
    manifest: Table, near_copies: Table, parent: Any, options: IngestionOptions
) -> tuple[Table, Table, dict[str, Any], list[str]]:
    """A split in which no group and no near-copy stands on two sides.

    What a parent knew keeps its side; ``parent`` is None where a training starts from none.
    """
    from graft.vision.data.splits import class_table_of, split_manifest
    from graft.vision.data.standing_splits import standing_of

    splitting = split_manifest(manifest, near_copies, options.split, standing_of(parent))
    classes = class_table_of(splitting.split_manifest, exclusive=not options.source.multi_label)
    return splitting.split_manifest, splitting.leaks, classes, splitting.findings


def report_quality(
    manifest: Table,
    quarantine: Table,
    near_copies: Table,
    split_manifest: Table,
    leaks: Table,
    findings: list[str],
    split_findings: list[str],
) -> dict[str, Any]:
    """What is known of the data's quality, as one record."""
    from graft.vision.data.quality import quality_report

    return quality_report(
        manifest, quarantine, near_copies, split_manifest, leaks, [*findings, *split_findings]
    )
