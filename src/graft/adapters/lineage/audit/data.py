"""Data: its version in DVC, every image, its split and truth, and what annotators wrote."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.rows import MISSING, Fault, Row, judged, unrecorded
from graft.adapters.lineage.dvc_objects import cached_files, remote_faults
from graft.adapters.lineage.hashing import facts_of_files
from graft.adapters.lineage.tables import images_facts

NO_TABLE = "no copy of the record's table of images has its digest"


def check_data_version(case: Audited) -> Row:
    """What DVC states now, whether the folder is that, and whether the remote holds all of it."""
    from graft.adapters.tracking.facts import data_version

    said, fact = case.record["data"], "data version"
    if said["dvc_md5"] in (UNKNOWN, "modified"):
        return unrecorded(fact, f"DVC stated {said['dvc_stated']}; the data was {said['dvc_md5']}")
    version = said["dvc_md5"]
    faults: list[Fault] = []
    if case.stands:
        data_version.cache_clear()
        now = data_version(case.project, Path(said["path"]))
        stated = now.get("dvc.stated", MISSING)
        if stated != version:
            faults.append(Fault(f"version that DVC states of {said['path']}", version, stated))
        elif now["dvc.md5"] != version:
            found = MISSING if now["dvc.md5"] == UNKNOWN else now["dvc.md5"]
            faults.append(Fault(f"folder {said['path']}", version, found))
    elif not cached_files(case.project, version):
        faults.append(Fault("objects in DVC's cache", version, MISSING))
    remote = remote_faults(case.project, version)
    faults += [Fault(f["file"], f["expected"], f["found"]) for f in remote or []]
    note = "no remote is configured" if remote is None else "the remote was read in full"
    return judged(fact, version, faults, note)


def check_images(case: Audited) -> Row:
    """SHA-256 of every image, again."""
    fact = "images"
    if case.images is None:
        return unrecorded(fact, NO_TABLE)
    facts = case.record["images"]
    expected = dict(zip(case.images["path"], case.images["sha256"], strict=True))
    faults = list(_changed(case, expected))
    if images_facts(case.images)["data_sha256"] != facts["data_sha256"]:
        faults.append(Fault("digest of the table", facts["data_sha256"], "another"))
    return judged(fact, facts["data_sha256"], faults, f"{len(expected)} images hashed")


def check_splits(case: Audited) -> Row:
    """The split of every image in the split manifest."""
    return _check_column(case, "splits", "split", "splits_sha256")


def check_truths(case: Audited) -> Row:
    """The truth of every image in the split manifest."""
    return _check_column(case, "truths", "truth", "truths_sha256")


def check_annotations(case: Audited) -> Row:
    """SHA-256 of every file below the task's raw folder that is no image of the case."""
    fact, said = "annotation source", case.record["annotations"]
    if said["source"] == UNKNOWN or case.files is None:
        return unrecorded(fact, "where the truth came from was not recorded in full")
    expected = dict(zip(case.files["path"], case.files["sha256"], strict=True))
    faults = list(_changed(case, expected))
    faults += list(_added(case, expected, said["files"]["folder"]))
    source = {key: value for key, value in said["source"].items() if value}
    return judged(fact, source, faults, f"{len(expected)} files beside the images hashed")


def _changed(case: Audited, expected: Mapping[str, str]) -> Iterator[Fault]:
    kept = {} if case.stands else cached_files(case.project, case.record["data"]["dvc_md5"])
    paths = {name: kept.get(name, case.raw / name) for name in expected}
    for name, facts in facts_of_files(paths).items():
        found = facts.sha256 if facts else MISSING
        if found != expected[name]:
            yield Fault(f"{case.record['data']['path']}/{name}", expected[name], found)


def _added(case: Audited, files: Mapping[str, str], folder: str) -> Iterator[Fault]:
    """Files that nobody recorded: none may come in beside what was ingested."""
    if case.images is None or not case.stands:
        return
    known = {*files, *case.images["path"]}
    for path in sorted((case.raw / folder).rglob("*")):
        name = path.relative_to(case.raw).as_posix()
        if path.is_file() and name not in known:
            yield Fault(f"{case.record['data']['path']}/{name}", "no such file", "added since")


def _check_column(case: Audited, fact: str, column: str, digest: str) -> Row:
    if case.images is None:
        return unrecorded(fact, NO_TABLE)
    recorded = case.record["images"]
    faults = list(_cells(case, column))
    if images_facts(case.images)[digest] != recorded[digest]:
        faults.append(Fault("digest of the table", recorded[digest], "another"))
    counts = ", ".join(f"{count} {name}" for name, count in recorded["by_split"].items())
    return judged(fact, recorded[digest], faults, counts)


def _cells(case: Audited, column: str) -> Iterator[Fault]:
    """Each image whose cell in the split manifest is another than in the record."""
    name = "split_manifest"
    if column == "truth" and case.output_bytes(name) is None:  # truths stand before the split too
        name = "manifest"
    place = str(case.outputs.get(name, {}).get("path", name))
    found = _column(case.output_bytes(name), column)
    if isinstance(found, str):
        yield Fault(place, str(case.outputs.get(name, {}).get("sha256")), found)
        return
    expected = dict(zip(case.images["id"], case.images[column], strict=True))
    added = set(found) - set(expected) if name == "split_manifest" else set()
    for each in sorted({*expected, *added}):
        one, other = expected.get(each, "no such image"), found.get(each, MISSING)
        if one != other:
            yield Fault(f"{place}: {each}", str(one), str(other))


def _column(data: bytes | None, column: str) -> dict[str, str] | str:
    """A column of a manifest by image; or in a word why there is none."""
    import pandas as pd

    if data is None:
        return MISSING
    try:
        table: Any = pd.read_parquet(io.BytesIO(data))
        return dict(zip(table["id"], table[column], strict=True))
    except (ValueError, OSError, KeyError) as error:
        return f"damaged ({type(error).__name__})"
