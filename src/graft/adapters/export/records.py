"""Whether the records of an exported folder agree with each other and with the registry's tags."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.adapters.export import DIFF, LEDGER, LINEAGE, LOCK
from graft.adapters.export.parts import leaves
from graft.adapters.export.reading import WEIGHTS, Exported
from graft.adapters.export.scores import PREDICTIONS, Measured
from graft.adapters.ledger.chain import LedgerError
from graft.adapters.ledger.mirror import HEAD
from graft.adapters.lineage import DIGEST_TAG, FILES, IMAGES, RECORD, UNKNOWN
from graft.adapters.lineage.audit.rows import MISSING, Fault, compared
from graft.adapters.lineage.registered import MODEL
from graft.vision.records import data_digest, digest_of

CLOSE = 1e-6
"""Relative: what sums on two machines may differ by."""
DIGESTED = {"configuration": "parameters", "augmentation": "policy", "metrics": "scores",
            "registered": "files"}  # fmt: skip
"""Parts of the record that hold a digest of a part of theirs."""


def record_faults(exported: Exported) -> Iterator[Fault]:
    """The record is the one that the version's tag states; its parts are as their digests say."""
    record, tags = exported.record, exported.version["tags"]
    yield from _pair("record", RECORD, tags[DIGEST_TAG], exported.sha256(RECORD))
    for name, part in DIGESTED.items():
        if record[name] != UNKNOWN:
            found = digest_of(record[name][part])
            yield from _pair("digest", f"{RECORD}: {name}.{part}", record[name]["sha256"], found)
    beside = {LOCK: record["lock"]["sha256"], DIFF: record["code"]["diff_sha256"]}
    outputs = [out for stage in record["stages"] for out in stage["outputs"].values()]
    beside |= {Path(output["path"]).name: output["sha256"] for output in outputs}
    for name, sha256 in beside.items():
        if exported.data(name) is not None:
            yield from _pair("file", name, sha256, exported.sha256(name))


def image_faults(exported: Exported) -> Iterator[Fault]:
    """Counts, splits and truths, taken again from the table; and what the version learned from."""
    said, table = exported.record["images"], exported.images_table
    if said == UNKNOWN:
        return
    yield from _pair("table", IMAGES, said["table_sha256"], exported.sha256(IMAGES))
    if table is None:
        return
    found = exported.images or {}
    for fault in compared({key: said.get(key, MISSING) for key in found}, found):
        yield Fault(f"{LINEAGE}/{RECORD}: images.{fault.what}", fault.expected, fault.found)
    learned = data_digest(table[table["split"] != "test"])
    stated = exported.version["tags"].get("data_sha256", UNKNOWN)
    yield from _pair("tag", "data_sha256 of the version", stated, learned)
    files = exported.record["annotations"]["files"]
    if files != UNKNOWN:
        yield from _pair("table", FILES, files["table_sha256"], exported.sha256(FILES))


def registered_faults(exported: Exported) -> Iterator[Fault]:
    """The registered bytes are those of the record, and those of the version's tags."""
    found, tags = exported.registered, exported.version["tags"]
    for fault in compared(exported.record["registered"]["files"], found):
        yield Fault(f"registered/{fault.what}", fault.expected, fault.found)
    below = f"{MODEL.as_posix()}/"
    package = {n.removeprefix(below): sha for n, sha in found.items() if n.startswith(below)}
    taken = {"weights_sha256": found.get(WEIGHTS, MISSING), "package_sha256": digest_of(package)}
    for name, sha256 in taken.items():
        yield from _pair("tag", f"{name} of the version", tags.get(name, UNKNOWN), sha256)


def score_faults(exported: Exported, measured: Measured) -> Iterator[Fault]:
    """Each score and its interval come out again; the predictions are of the test images."""
    said = exported.known("metrics")
    if said == UNKNOWN or measured.scores is None:
        return
    yield from _other_images(exported, measured)
    stated, found = leaves(said["scores"]), leaves(measured.scores)
    for name in sorted({*stated, *found}):
        one, other = stated.get(name, MISSING), found.get(name, MISSING)
        if not _close(one, other):
            yield Fault(f"{LINEAGE}/{RECORD}: metrics.scores.{name}", str(one), str(other))


def ledger_faults(exported: Exported) -> Iterator[Fault]:
    """Every line follows the one before, up to the head that the registry has seen."""
    name = f"{LINEAGE}/{LEDGER}"
    try:
        entries = exported.entries
    except LedgerError as error:
        yield Fault(name, "as written", str(error))
        return
    head = exported.version["model_tags"].get(HEAD)
    if head is not None and head not in [entry["sha256"] for entry in entries]:
        yield Fault(f"{name}: the entry that the registry saw last", head, MISSING)
    others = {entry["model"] for entry in entries} - {exported.version["model"]}
    if others:
        yield Fault(name, f"model {exported.version['model']}", ", ".join(sorted(others)))


def _other_images(exported: Exported, measured: Measured) -> Iterator[Fault]:
    table = exported.images_table
    if table is None:
        return
    test = table[table["split"] == "test"]
    sides = [dict(zip(rows["id"], rows["sha256"], strict=True))
             for rows in (test, measured.predictions)]  # fmt: skip
    for fault in compared(*sides):
        yield Fault(f"{LINEAGE}/{PREDICTIONS}: row {fault.what}", fault.expected, fault.found)


def _pair(kind: str, what: str, expected: str, found: str) -> Iterator[Fault]:
    """A fault where the two differ, and one of them is known."""
    if expected != found and expected not in (UNKNOWN, "none"):
        yield Fault(f"{kind} {what}", expected, found)


def _close(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE) if numbers else one == other
