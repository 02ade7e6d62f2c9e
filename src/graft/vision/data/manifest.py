"""From a raw folder to the manifest: every byte hashed, only new content decoded."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from graft.vision.ahead import each_made_ahead
from graft.vision.data.checked_truths import CheckedTruths
from graft.vision.data.decoding import Decoded, decode
from graft.vision.data.file_bytes import read_within
from graft.vision.data.mask_pass import read_masks
from graft.vision.data.masks import open_masks
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore, facts_of, pixels_of
from graft.vision.data.shared_names import find_shared_names
from graft.vision.data.sources import SourceReading, SourceRow, read_source
from graft.vision.errors import DataError, UnusableImageError
from graft.vision.records import (
    MANIFEST_COLUMNS,
    QUARANTINE_COLUMNS,
    new_table,
)
from graft.vision.store import Writer


@dataclass
class Ingested:
    """What ingestion found. ``decoded`` counts the images that were new."""

    manifest: pd.DataFrame
    quarantine: pd.DataFrame
    findings: list[str]
    decoded: int


def build_manifest(root: Path, store: PixelStore, options: IngestionOptions) -> Ingested:
    """Read the source, hash every file, decode what the store does not hold.

    Files stream through a small window, so memory does not grow with the data.

    Raises:
        DataError: when nothing can be read, or more than ``quarantine_share_max`` cannot be used.
    """
    reading = read_source(root, options.source)
    rows, refused = [], list(reading.quarantine)
    truths = _check_truths(root, reading, store, options)
    decoded: set[str] = set()
    with store.array_store.writer() as writer:
        stream = _hash_and_decode(root, reading.rows, store, options.workers)
        progress = tqdm(
            stream, total=len(reading.rows), desc="images", mininterval=2, leave=False, disable=None
        )
        for source, sha256, result in progress:
            if keep_image(sha256, result, writer):
                decoded.add(sha256)
            facts = store.facts(sha256) if result is None else facts_of(result)
            try:
                truth = truths.truth_of(source, facts)
                rows.append(_manifest_row(source, truth, sha256, facts))
            except UnusableImageError as error:
                reason = str(error).rstrip(".")
                refused.append({"file": source.path, "row": source.row, "reason": reason})
    manifest = new_table(rows, MANIFEST_COLUMNS)
    quarantine = new_table(refused, QUARANTINE_COLUMNS)
    _stop_above(options.quarantine_share_max, manifest, quarantine, root)
    _stop_above_boxes(options.quarantine_share_max, truths, root)
    quarantine = new_table([*refused, *truths.left_out], QUARANTINE_COLUMNS)
    findings = [*reading.findings, *truths.findings(), *find_shared_names(manifest)]
    return Ingested(manifest, quarantine, findings, len(decoded))


def _check_truths(
    root: Path, reading: SourceReading, store: PixelStore, options: IngestionOptions
) -> CheckedTruths:
    """Read the mask files, where there are any, before images are decoded."""
    truths = CheckedTruths(
        reading.mask_rule,
        options.source.class_names,
        list(reading.left_out),
        objects_used=reading.drawn,
    )
    paths = [row.mask for row in reading.rows if row.mask]
    if reading.mask_rule is not None and paths:
        folder = open_masks(store.array_store.folder)
        limit = options.decoding.max_pixels
        truths.masks = read_masks(root, paths, reading.mask_rule, folder, limit, options.workers)
    return truths


Result = Decoded | UnusableImageError | None


def _hash_and_decode(
    root: Path, rows: list[SourceRow], store: PixelStore, workers: int
) -> Iterator[tuple[SourceRow, str, Result]]:
    """Yield each row with its digest, and what decoding gave; None where the store knows it."""
    read = each_made_ahead(lambda row: read_image(root / row.path, store), rows, workers)
    for row, (sha256, result) in zip(rows, read, strict=True):
        yield row, sha256, result


def read_image(path: Path, store: PixelStore) -> tuple[str, Result]:
    """Hash a file, and decode it by the store's rule where the store lacks it.

    Returns:
        The file's SHA-256, empty where it is not read; and what decoding gave, or why there is
        no image, or None where the store knows either (`PixelStore.facts`).
    """
    try:
        data = read_within(path, store.options.max_pixels)
    except UnusableImageError as error:
        return "", error
    sha256 = hashlib.sha256(data).hexdigest()
    if store.holds(sha256):  # pixels that were damaged since are decoded again
        return sha256, None
    try:
        return sha256, decode(data, store.options)
    except UnusableImageError as error:
        return sha256, error


def keep_image(sha256: str, result: Result, writer: Writer) -> bool:
    """Add what `read_image` gave to the pixels, a refusal too; whether it is new and lasts."""
    if result is None or not sha256 or not _lasts(result):
        return False
    writer.add(sha256, pixels_of(result), facts_of(result))
    return True


def _lasts(result: Decoded | UnusableImageError) -> bool:
    """A want of memory is the machine's, not the file's: the next run tries again."""
    return not isinstance(getattr(result, "__cause__", None), MemoryError)


def _manifest_row(
    source: SourceRow, truth: str, sha256: str, facts: Mapping[str, object]
) -> dict[str, object]:
    return {
        "id": source.path,
        "path": source.path,
        "sha256": sha256,
        **{name: facts[name] for name in ("width", "height", "channels", "notes")},
        "truth": truth,
        "group": source.group,
        "given_split": source.given_split,
    }


def _stop_above(
    share_max: float, manifest: pd.DataFrame, quarantine: pd.DataFrame, root: Path
) -> None:
    refused, total = len(quarantine), len(manifest) + len(quarantine)
    if total and refused / total > share_max:
        first = [f"{row.file}: {row.reason}" for row in quarantine.head(3).itertuples()]
        raise DataError(
            f"{refused} of {total} images in {root} cannot be used",
            found="; ".join(first),
            allowed=f"a share of {share_max:g} (ingestion.quarantine_share_max)",
            mend="mend or remove those files, or raise the share",
        )
    if manifest.empty:
        raise DataError(f"no usable image in {root}", found=f"{refused} unusable files")


def _stop_above_boxes(share_max: float, truths: CheckedTruths, root: Path) -> None:
    """A wrong unit or size leaves every image in place, and hardly a box."""
    left_out, total = truths.left_out, truths.objects_used + len(truths.left_out)
    if truths.objects and left_out and len(left_out) / total > share_max:
        first = [f"{part['file']} ({part['row']}): {part['reason']}" for part in left_out[:3]]
        raise DataError(
            f"{len(left_out)} of {total} {truths.objects} in {root} cannot be used",
            found="; ".join(first),
            allowed=f"a share of {share_max:g} (ingestion.quarantine_share_max)",
            mend="mend the annotations, check ingestion.source, or raise the share",
        )
