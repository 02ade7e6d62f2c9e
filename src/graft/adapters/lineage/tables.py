"""The tables of a record: every image with digest, split and truth; and every other file."""

from pathlib import Path
from typing import Any

from graft.adapters.lineage.hashing import facts_of_files
from graft.vision.records import data_digest, digest_of, digest_text

IMAGE_COLUMNS = ["id", "path", "sha256", "width", "height", "split", "truth", "truth_sha256"]


def images_table(split_manifest: Any) -> Any:
    """A row of IMAGE_COLUMNS per image of a split manifest."""
    digests = [digest_text(text) for text in split_manifest["truth"]]
    return split_manifest.assign(truth_sha256=digests)[IMAGE_COLUMNS]


def files_table(split_manifest: Any, raw: Path, folder: str) -> Any:
    """path, bytes and SHA-256 of every file below ``raw / folder`` that is no image of the case."""
    import pandas as pd

    images = set(split_manifest["path"])
    paths = {
        path.relative_to(raw).as_posix(): path
        for path in sorted((raw / folder).rglob("*"))
        if path.is_file()
    }
    found = facts_of_files(paths, skip=images)
    rows = [{"path": n, "bytes": f.bytes, "sha256": f.sha256} for n, f in found.items() if f]
    return pd.DataFrame(rows, columns=["path", "bytes", "sha256"])


def images_facts(table: Any) -> dict[str, Any]:
    """Counts and digests over all of a table of images, whatever the order of its rows."""
    splits = table.groupby("split")
    return {
        "count": len(table),
        "by_split": {str(name): len(rows) for name, rows in splits},
        "data_sha256": data_digest(table),
        "sha256_by_split": {str(name): data_digest(rows) for name, rows in splits},
        "splits_sha256": digest_of(sorted(zip(table["id"], table["split"], strict=True))),
        "truths_sha256": digest_of(sorted(zip(table["id"], table["truth_sha256"], strict=True))),
    }
