"""Who still needs what lies in the stores by content: cases as they stand, and champions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from graft.adapters.conf import open_conf
from graft.adapters.layers import FROZEN_FEATURES, MANIFEST, SPLIT_MANIFEST, STORES, place, places
from graft.vision.data.near_copies import open_fingerprints, question_of
from graft.vision.data.options import DecodingOptions, IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import GraftError, StoreError
from graft.vision.features import GRAPHS, WEIGHTS
from graft.vision.store import ArrayStore, Entry
from graft.vision.store.arrays import RULE
from graft.vision.store.pruning import look_into, prune

MEANS = "-means"
"""The ending of a namespace of features that holds means of maps."""


@dataclass(frozen=True)
class Use:
    """Somebody who needs arrays: a task of a case, or a champion.

    Attributes:
        images: SHA-256 of image files.
        decoding: how their pixels are made; None where that cannot be told, so that any will do.
        features: namespace and key; None where any array of an image is needed.
        question: under which the answer on near copies is kept.
    """

    name: str
    images: frozenset[str]
    decoding: DecodingOptions | None = None
    masks: frozenset[str] = frozenset()
    features: frozenset[tuple[str, str]] | None = None
    question: str = ""

    def needs(self, kind: str, namespace: str, key: str) -> bool:
        """Whether an array is to stay for the sake of this."""
        if kind == "masks":
            return key in self.masks
        if kind == "features" and self.features is not None and not namespace.endswith(MEANS):
            return (namespace, key) in self.features
        reads = self.reads_alone(kind, namespace) or kind not in self._namespaces
        return reads and (key in self.images or key == self.question)

    def reads_alone(self, kind: str, namespace: str) -> bool:
        """Whether this is the one namespace of its kind that is read."""
        return self._namespaces.get(kind) == namespace

    @cached_property
    def _namespaces(self) -> dict[str, str]:
        if self.decoding is None:
            return {}
        pixels = PixelStore(Path(), self.decoding).array_store
        prints = open_fingerprints(Path(), self.decoding)
        return {"pixels": pixels.namespace, "fingerprints": prints.namespace}


@dataclass
class Stores:
    """The stores of a project, with all who use them."""

    project: Path
    uses: list[Use] = field(default_factory=list)

    def stat(self) -> list[dict[str, Any]]:
        """Of each namespace: store, namespace, arrays, bytes, dead_bytes, shards, written (UTC),
        rule, used_by."""
        return [self._stat(kind, store) for kind, store in self._opened()]

    def prune(self, idle_s: float, *, remove: bool) -> list[dict[str, Any]]:
        """What was removed of each namespace, or would be: store, namespace, arrays, damaged,
        bytes; ``fault`` where nothing could be.
        """
        told = []
        for kind, store in self._opened():
            said: dict[str, Any] = {"store": kind, "namespace": store.namespace}
            try:
                gone = prune(store, self._needed(kind, store.namespace), idle_s, remove=remove)
                said |= {"arrays": gone.arrays, "damaged": gone.damaged, "bytes": gone.bytes}
            except StoreError as error:  # the others can be pruned all the same
                said |= {"arrays": 0, "damaged": 0, "bytes": 0, "fault": str(error)}
            told.append(said)
        return told

    def _opened(self) -> Iterator[tuple[str, ArrayStore]]:
        for kind, below in STORES.items():
            for folder in sorted((self.project / below).glob("*/")):
                yield kind, ArrayStore(folder.parent, folder.name)

    def _needed(self, kind: str, namespace: str) -> Any:
        def needed(key: str, entry: Entry) -> bool:
            # What is empty says that a file cannot be used, and costs a line.
            return not entry.bytes or any(
                self._needs(use, kind, namespace, key, entry) for use in self.uses
            )

        return needed

    def _needs(self, use: Use, kind: str, namespace: str, key: str, entry: Entry) -> bool:
        if kind == "features" and WEIGHTS in entry.meta:  # a graph, beside the features it gives
            return namespace == GRAPHS and entry.meta[WEIGHTS] in self._weights[use.name]
        return use.needs(kind, namespace, key)

    @cached_property
    def _weights(self) -> dict[str, set[str]]:
        """By the name of a use: the weights that computed features which it needs."""
        found: dict[str, set[str]] = {use.name: set() for use in self.uses}
        for kind, store in self._opened():
            rule = _rule_of(store.root) if kind == "features" else None
            if rule and WEIGHTS in rule:
                keys = store.entries()
                for use in self.uses:
                    if any(use.needs(kind, store.namespace, key) for key in keys):
                        found[use.name].add(rule[WEIGHTS])
        return found

    def _stat(self, kind: str, store: ArrayStore) -> dict[str, Any]:
        found, entries = look_into(store), store.entries()
        return {
            "store": kind,
            "namespace": store.namespace,
            "arrays": found.arrays,
            "bytes": found.bytes,
            "dead_bytes": found.dead_bytes,
            "shards": found.shards,
            "written": _utc(found.written),
            "rule": _rule_of(store.root) or self._rule_by_use(kind, store.namespace),
            "used_by": [
                use.name
                for use in self.uses
                if any(self._needs(use, kind, store.namespace, *each) for each in entries.items())
            ],
        }

    def _rule_by_use(self, kind: str, namespace: str) -> Any:
        """The decoding of a case or champion that reads this namespace and no other of its kind."""
        for use in self.uses:
            if use.decoding is not None and use.reads_alone(kind, namespace):
                return {"decoding": use.decoding.model_dump(mode="json")}
        return None


def uses_of_cases(project: Path) -> list[Use]:
    """Each task of a case of which a run has left a manifest, a split or a table of features."""
    found = {
        file.parent.parts[-2:]
        for layer in (MANIFEST, SPLIT_MANIFEST, FROZEN_FEATURES)
        for file in places(project, layer)
    }
    return [_use_of_case(project, case, task) for case, task in sorted(found)]


def uses_of_champions(project: Path) -> list[Use]:
    """What the record of each champion names.

    Raises:
        StoreError: where there is a champion whose record cannot be read.
    """
    from graft.adapters.lineage.seen import seen_images
    from graft.adapters.lineage.versions import open_registry, recorded_versions
    from graft.adapters.registry import CHAMPION, version_at

    root = open_registry(project)
    names = {version.name for version in recorded_versions()}
    standing = {f"{name}/{at}" for name in names if (at := version_at(name, CHAMPION))}
    tables, notes = seen_images(root) if standing else ({}, [])
    unread = standing - set(tables)
    if unread:
        raise StoreError(
            f"what the champion {', '.join(sorted(unread))} needs cannot be told",
            found="; ".join(notes) or "no record of its images",
            mend="see `kedro model audit`, and prune when its record can be read",
        )
    return [_use_of_champion(name, tables[name]) for name in sorted(standing)]


def _use_of_case(project: Path, case: str, task: str) -> Use:
    manifest, split, features = (
        _read(place(project, layer, case, task))
        for layer in (MANIFEST, SPLIT_MANIFEST, FROZEN_FEATURES)
    )
    ingestion = _ingestion(project, case, task)
    near = None if ingestion is None else ingestion.near_copies
    return Use(
        name=f"{case}/{task}",
        images=frozenset(value for table in (manifest, split) for value in _column(table)),
        decoding=None if ingestion is None else ingestion.decoding,
        masks=frozenset(key for table in (manifest, split) for key in _mask_keys(table)),
        features=frozenset(
            zip(_column(features, "namespace"), _column(features, "key"), strict=True)
        ),
        question=question_of(manifest, near) if near is not None and len(manifest) else "",
    )


def _use_of_champion(name: str, table: Any) -> Use:
    rules = table["decoding"]
    decoding = DecodingOptions.from_record(rules.iloc[0]) if len(rules) else None
    return Use(
        f"champion {name}", frozenset(_column(table)), decoding, frozenset(_mask_keys(table))
    )


def _ingestion(project: Path, case: str, task: str) -> IngestionOptions | None:
    """How conf says that a case is ingested; None where it says nothing that can be read."""
    if not (project / "conf" / case).is_dir():
        return None
    try:
        said = open_conf(project / "conf", case)["parameters"][task]["ingestion"]
        return IngestionOptions.parse(said, f"{case}: {task}.ingestion")
    except (GraftError, KeyError, OSError, ValueError):
        return None


def _read(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file) if file.is_file() else pd.DataFrame()


def _column(table: Any, name: str = "sha256") -> list[str]:
    return list(table[name]) if name in table else []


def _mask_keys(table: Any) -> Iterator[str]:
    for text in _column(table, "truth"):
        if "_sha256" in text:
            named = json.loads(text).items()
            yield from (sha256 for name, sha256 in named if name.endswith("_sha256"))


def _rule_of(folder: Path) -> Any:
    """How a namespace says that its arrays are made; None where it does not."""
    try:
        return json.loads((folder / RULE).read_text())
    except (OSError, ValueError):
        return None


def _utc(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None
