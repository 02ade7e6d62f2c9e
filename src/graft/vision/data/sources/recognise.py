"""Look at a folder: which layout it is, what is sure and what is in doubt."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from graft.vision.data.decoding import FORMATS
from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.class_names import settle_class_names
from graft.vision.data.sources.columns import choose_columns, usual_column
from graft.vision.data.sources.folders import is_image, read_folders, walk_files
from graft.vision.data.sources.foreign import refuse_foreign
from graft.vision.data.sources.mask_pairs import is_mask_word
from graft.vision.data.sources.reading import (
    SourceReading,
    carries_dicom_mark,
    compile_group_pattern,
    group_of,
    split_named,
    stays_inside,
)
from graft.vision.data.sources.recognise_boxes import holds_json_of_coco, is_part
from graft.vision.data.sources.recognise_dense import find_dense, folders_below
from graft.vision.data.sources.table import read_table
from graft.vision.data.sources.table_file import TABLE_ENDINGS, load_table
from graft.vision.errors import DataError, GraftError

TRACK = r"((?:[^/]+/)?[^/]+)/(\d+)_\d+\.\w+$"
PATIENT = r"/(\d{6,})_\d+\.\w+$"


@dataclass
class Recognition:
    """A layout with the options that read it, in plain values as conf holds them."""

    layout: str
    truth: str
    options: dict[str, Any]
    found: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def recognise(root: Path, truth: str | None = None) -> Recognition:
    """Recognise boxes, masks, class folders or a table.

    Args:
        root: the folder to look at.
        truth: ``classes``, ``boxes`` or ``masks`` where only that is wanted.

    Raises:
        DataError: when nothing fits, saying what was found; formats that are known and not read
            are named.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", mend="give the folder that holds the images")
    refuse_foreign(root)
    images = sum(is_image(path) for path in walk_files(root))
    if images == 0:
        raise DataError(
            f"no image in {root}",
            found=sorted({path.suffix for path in walk_files(root)})[:10] or "an empty folder",
            mend="give the folder that holds the images",
        )
    dense = find_dense(root, truth) if truth != "classes" else None
    if dense is not None:
        doubts = [*dense.doubts, *_doubt_files(root, dense.paths)]
        return Recognition(dense.layout, dense.truth, dense.options, dense.found, doubts)
    _refuse_what_would_be_misread(root, truth)
    reading = read_folders(root, SourceOptions())
    classes = {row.truth for row in reading.rows}
    if len(classes) >= 2 and not _are_structure(reading):
        return _folders(root, reading)
    faults: list[str] = []
    table = _find_table(root, faults)
    if table is not None:
        return table
    raise DataError(
        f"the layout of {root} is not recognised",
        found=f"{images} images, {len(classes)} class folders, "
        + (faults[0] if faults else "no table with path and label")
        + ("" if classes or faults else ": nothing says what the images show"),
        allowed="class folders, split folders with class folders, a table in CSV or parquet, VOC, "
        "COCO, YOLO, a table of boxes, mask folders, instance masks, LabelMe",
        mend="sort the images into one folder per class, or write a table path,label",
    )


def _refuse_what_would_be_misread(root: Path, truth: str | None) -> None:
    """Name what class folders would make nonsense of."""
    kinds = holds_json_of_coco(root)
    if kinds and truth == "classes":
        raise DataError(
            f"COCO files in {root}, and no classes of whole images",
            found=", ".join(kinds[:8]),
            mend="leave --task out to see what is recognised",
        )
    if kinds:
        raise DataError(
            f"COCO files without boxes in {root}",
            found=", ".join(kinds[:8]),
            allowed="annotations with bbox",
            mend="bring the instances_*.json",
        )
    for base in folders_below(root):
        refuse_foreign(base)
    if truth in ("boxes", "masks"):
        raise DataError(
            f"no {truth} are recognised in {root}",
            allowed="VOC, COCO, YOLO, a table of boxes, mask folders, instance masks, LabelMe",
            mend="leave --task out to see what is recognised",
        )


def _are_structure(reading: SourceReading) -> bool:
    """Whether a class would be called ``images`` or ``masks``: then it is none."""
    names = {json.loads(row.truth)["classes"][0] for row in reading.rows}
    return any(is_part(name) or is_mask_word(name) for name in names)


def _folders(root: Path, reading: SourceReading) -> Recognition:
    settle_class_names(reading)
    paths = [row.path for row in reading.rows]
    counts = Counter(row.truth for row in reading.rows)
    splits = Counter(row.given_split or "no split" for row in reading.rows)
    found = [
        f"{len(paths)} images in {len(counts)} class folders",
        "given splits: " + ", ".join(f"{name} {count}" for name, count in sorted(splits.items())),
    ]
    options: dict[str, Any] = {"layout": "folders"}
    pattern, evidence = _propose_groups(paths)
    if pattern:
        options["group_pattern"] = pattern
        found.append(evidence)
    doubts = [*reading.findings, *_doubt_counts(counts), *_doubt_files(root, paths)]
    doubts += [f"{row['file']}: {row['reason']}" for row in reading.quarantine[:5]]
    return Recognition("folders", "classes", options, found, doubts)


def _find_table(root: Path, faults: list[str]) -> Recognition | None:
    for folder in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in TABLE_ENDINGS and stays_inside(root, path):
                try:
                    found = _table(root, path)
                except DataError as error:
                    faults.append(str(error).split("; next: ")[0])
                    continue
                if found is not None:
                    return found
    return None


def _table(root: Path, path: Path) -> Recognition | None:
    base = SourceOptions()
    table = load_table(path)
    options: dict[str, Any] = {"layout": "table", "table": [path.name]}
    if path.parent != root:
        options["folder"] = path.parent.relative_to(root).as_posix()
    flags = [n for n in table.columns if len(table) and set(table[n].str.strip()) <= {"0", "1"}]
    if usual_column(list(table.columns), "label"):
        flags = []
    if len(flags) >= 2:
        options |= {"label_columns": flags, "multi_label": True}
    chosen = choose_columns(table, SourceOptions.parse(options, "table"), path)
    options |= {
        f"{role}_column": name
        for role, name in chosen.items()
        if name and _tells(table, role, name)
    }
    if flags and len(flags) >= 2:
        options.pop("label_column", None)
    elif chosen["label"] and table[chosen["label"]].str.contains(r"\|").any():
        options |= {"multi_label": True, "label_delimiter": base.label_delimiter}
    best = _best_images_folder(root, options)
    if best is None:
        return None
    options, reading = best
    counts = Counter(row.truth for row in reading.rows)
    found = [
        f"table {path.name}: {len(table)} rows, columns {', '.join(table.columns[:12])}",
        f"{len(reading.rows)} rows with an image, {len(reading.quarantine)} without use",
    ]
    settle_class_names(reading)
    paths = [row.path for row in reading.rows]
    doubts = [*reading.findings, *_doubt_counts(counts), *_doubt_files(root, paths)]
    doubts += [f"{r['row']} {r['file']}: {r['reason']}" for r in reading.quarantine[:5]]
    return Recognition("table", "classes", options, found, doubts)


def _tells(table: pd.DataFrame, role: str, column: str) -> bool:
    """A split column that names no split and a group column of blanks are not worth declaring."""
    words = set(table[column].str.strip()) - {""}
    return any(map(split_named, words)) if role == "split" else bool(words)


def _best_images_folder(
    root: Path, options: dict[str, Any]
) -> tuple[dict[str, Any], SourceReading] | None:
    """The images may lie in a folder that the table does not name."""
    base = root / options.get("folder", "")
    folders = ["", *sorted(path.name for path in base.iterdir() if path.is_dir())]
    best: tuple[dict[str, Any], SourceReading] | None = None
    for folder in folders:
        tried = {**options, **({"images_folder": folder} if folder else {})}
        try:
            reading = read_table(root, SourceOptions.parse(tried, "table"))
        except GraftError:
            continue
        if reading.rows and (best is None or len(reading.rows) > len(best[1].rows)):
            best = tried, reading
    return best


def _propose_groups(paths: list[str]) -> tuple[str | None, str]:
    """Propose a group pattern when names repeat a leading number over several images."""
    for pattern, what in ((TRACK, "tracks"), (PATIENT, "patients")):
        compiled = compile_group_pattern(pattern)
        groups = Counter(filter(None, (group_of(path, compiled) for path in paths)))
        several = sum(count > 1 for count in groups.values())
        named = sum(groups.values())
        if what == "tracks" and (not several or named / len(groups) < 4):
            continue
        if several:
            evidence = (
                f"names look like {what}: {named} images in {len(groups)} groups, "
                f"{several} of them with several images; they will stay together"
            )
            return pattern, evidence
    return None, ""


def _doubt_counts(counts: Counter[str]) -> list[str]:
    doubts = []
    few = sorted(truth for truth, count in counts.items() if count < 5)
    if few:
        doubts.append(f"{len(few)} classes have fewer than 5 images: {', '.join(few[:5])}")
    if counts and max(counts.values()) > 10 * min(counts.values()):
        doubts.append(
            f"classes are uneven: {min(counts.values())} to {max(counts.values())} images; "
            "see fine_tuning.class_balance"
        )
    return doubts


def _doubt_files(root: Path, paths: list[str]) -> list[str]:
    """Look at the headers of at most 200 files spread over the folder."""
    doubts = []
    endings = Counter(Path(path).suffix.lower() for path in paths)
    rare = {ending for ending, count in endings.items() if count <= 2 and len(paths) > 50}
    odd = [path for path in paths if Path(path).suffix.lower() in rare]
    placeholder = [
        path for path in paths if re.search(r"not.?found|placeholder|missing|deleted", path, re.I)
    ]
    if odd:
        doubts.append(f"formats seen once or twice, maybe placeholders: {', '.join(odd[:5])}")
    if placeholder:
        doubts.append(f"names that sound like placeholders: {', '.join(placeholder[:5])}")
    sides, modes = _headers(root, paths[:: max(1, len(paths) // 200)])
    if sides and sorted(sides)[len(sides) // 2] < 64:
        doubts.append(
            f"images are small (median short side {sorted(sides)[len(sides) // 2]} px): "
            "backbone.image_size_px of 96 is faster and usually as good"
        )
    if len(modes) > 1:
        doubts.append("modes are mixed: " + ", ".join(f"{m} {c}" for m, c in modes.most_common()))
    return doubts


def _headers(root: Path, paths: list[str]) -> tuple[list[int], Counter[str]]:
    sides, modes = [], Counter[str]()
    for path in paths:
        try:
            with Image.open(root / path, formats=FORMATS) as image:
                sides.append(min(image.size))
                modes[image.mode] += 1
        except Exception:  # ingestion will say what is wrong with it
            dicom = path.lower().endswith(".dcm") or carries_dicom_mark(root / path)
            modes["DICOM" if dicom else "unreadable"] += 1
    return sides, modes
