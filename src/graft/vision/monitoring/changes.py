"""What has come, changed and gone since a champion was trained."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from graft.vision.records import data_digest, digest_text


@dataclass(frozen=True)
class Changes:
    """Rows of the manifest as it lies now, beside the champion's images.

    Attributes:
        added: under an id that the champion's images do not have.
        changed_bytes: under a known id, with other bytes; the truth may be another as well.
        changed_truth: of known id and bytes, with another truth.
        gone: the champion's images whose id is there no more.
        withheld: images that lay there already and were kept from training and judging alike.
    """

    added: pd.DataFrame
    changed_bytes: pd.DataFrame
    changed_truth: pd.DataFrame
    gone: pd.DataFrame
    withheld: pd.DataFrame

    @property
    def new(self) -> pd.DataFrame:
        """All that is not as the champion knew it, in the order of ids."""
        parts = [self.added, self.changed_bytes, self.changed_truth]
        return pd.concat(parts).sort_values("id", kind="stable").reset_index(drop=True)

    def record(self) -> dict[str, Any]:
        """Ids and counts of each kind, and the digest of what is new."""
        ids = {name: list(map(str, rows["id"])) for name, rows in vars(self).items()}
        counts = {name: len(found) for name, found in ids.items()}
        digest = data_digest(self.new)  # of bytes and truths: ids alone do not tell a batch
        return {**ids, "counts": counts, "data_sha256": digest, "sentences": [_sentence(counts)]}


def find_changes(
    known: pd.DataFrame, manifest: pd.DataFrame, withheld: Collection[str] = ()
) -> Changes:
    """Compare a manifest with the champion's images, by id, bytes and truth.

    Args:
        known: with ``id``, ``sha256`` and ``truth``.
        withheld: ids that the champion's split had left out because they leak.
    """
    known_of = known.set_index("id")
    is_known = manifest["id"].isin(known["id"])
    left_out = manifest["id"].isin(list(withheld)) & ~is_known
    old = known_of.reindex(manifest["id"])
    other_bytes = is_known & (manifest["sha256"].to_numpy() != old["sha256"].to_numpy())
    other_truth = is_known & (manifest["truth"].to_numpy() != old["truth"].to_numpy())
    return Changes(
        added=manifest[~is_known & ~left_out],
        changed_bytes=manifest[other_bytes],
        changed_truth=manifest[other_truth & ~other_bytes],
        gone=known[~known["id"].isin(manifest["id"])],
        withheld=manifest[left_out],
    )


def some_units(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """So many rows or a few more, in whole units drawn by digest; all where there are no more."""
    if len(rows) <= most:
        return rows.reset_index(drop=True)
    sizes = rows["unit"].value_counts()
    chosen = set(_until(sizes, most, seed))
    return rows[rows["unit"].isin(chosen)].reset_index(drop=True)


def _until(sizes: "pd.Series[int]", most: int, seed: int) -> Iterator[str]:
    count = 0
    for unit in sorted(map(str, sizes.index), key=lambda unit: digest_text(f"{seed} {unit}")):
        if count >= most:
            return
        yield unit
        count += int(sizes[unit])


def _sentence(counts: dict[str, int]) -> str:
    words = {
        "added": "added",
        "changed_bytes": "with other bytes",
        "changed_truth": "with another truth",
        "gone": "gone",
    }
    said = [f"{counts[name]} {word}" for name, word in words.items() if counts[name]]
    if not said:
        return "All images are as the champion knew them."
    return f"Beside the champion's images there are {', '.join(said)}."
