"""Frozen features: stored once per image, view, preprocessing and weights; never stale."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from graft.vision.ahead import made_ahead
from graft.vision.backbones.pyramid import Pyramid
from graft.vision.backbones.weights import digest_state
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import HarmonyError
from graft.vision.features import WEIGHTS
from graft.vision.features.engines import Engine, choose_engine, engine_identity
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.memory import AtOnce, is_out_of_memory
from graft.vision.model import GraftedModel
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array, digest_of
from graft.vision.store import ArrayStore

Augment = Callable[[Array, str, int], Array]
"""(pixels, sample id, view number from 1) -> (S, S, C) uint8 view."""


@dataclass
class FrozenFeatures:
    """Which stored feature belongs to which image and view.

    ``table``: id, sha256, split, view (0 is the plain one), key, namespace.
    """

    table: pd.DataFrame
    folder: Path
    computed: int = 0
    _stores: dict[str, ArrayStore] = field(default_factory=dict, init=False, repr=False)

    def read(self, row: Any) -> Array:
        """(D,) float16 or float32, read-only: the features of one row of the table."""
        if row.namespace not in self._stores:
            self._stores[row.namespace] = ArrayStore(self.folder, row.namespace)
        return self._stores[row.namespace].read(row.key)

    def matrix(self, rows: pd.DataFrame) -> Array:
        """(N, D) float32, one row per row of the table."""
        found = [self.read(row) for row in rows.itertuples()]
        return np.stack(found) if found else np.zeros((0, 0), np.float32)


def extract_features(
    split_manifest: pd.DataFrame,
    pixels: PixelStore,
    model: GraftedModel,
    preprocessing: Preprocessing,
    folder: Path,
    options: FeatureExtractionOptions,
    augment: Augment | None = None,
    augment_digest: str = "",
) -> FrozenFeatures:
    """Compute what the store lacks; a second call on the same data computes nothing.

    Where memory runs out all is computed in batches of half the size, as a store of its own.

    Args:
        augment: draws view 1, 2, ... of training images; ``augment_digest`` says how.

    Raises:
        ResourceError: where memory does not hold one image.
    """
    at_once = AtOnce("frozen features", options.batch_size)
    while True:
        try:
            return _extract(
                split_manifest,
                pixels,
                model,
                preprocessing,
                folder,
                options.model_copy(update={"batch_size": at_once.size}),
                augment,
                augment_digest,
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            found = str(error)
        at_once.halve(found)  # after the handler: its traceback holds what memory is short of


def _extract(
    split_manifest: pd.DataFrame,
    pixels: PixelStore,
    model: GraftedModel,
    preprocessing: Preprocessing,
    folder: Path,
    options: FeatureExtractionOptions,
    augment: Augment | None,
    augment_digest: str,
) -> FrozenFeatures:
    rule = feature_rule(pixels, model, preprocessing, options)
    namespace = digest_of(rule)[:24]
    table = _plan(split_manifest, options.augmented_views, augment_digest)
    table["namespace"] = namespace
    store = ArrayStore(folder, namespace, rule)
    missing = set(store.missing(table["key"]))
    todo = table[table["key"].isin(missing)].drop_duplicates("key")
    if len(todo):
        size_px, batch = preprocessing.size_px, options.batch_size
        engine = choose_engine(model, size_px, batch, options.engine, options.precision, folder)
        kind = stored_kind(model)
        _compute(todo, pixels, preprocessing, engine, store, augment, kind)
    return FrozenFeatures(table, folder, len(todo))


def stored_kind(model: GraftedModel) -> type[np.floating[Any]]:
    """The number format in which the features of a model are stored.

    Maps are large, and take half: float16 and not bf16, since its ten bits of fraction lose a
    sixtieth of what bf16's seven do (1 - cosine of 2e-8 in place of 1.4e-6 on photographs), NumPy
    maps it from the store as it lies, and what its range lacks `as_stored` refuses.
    """
    return np.float16 if isinstance(model.backbone, Pyramid) else np.float32


def as_stored(features: Array, kind: type[np.floating[Any]]) -> Array:
    """Features in the format in which they are stored.

    Raises:
        HarmonyError: where a value is not finite or lies beyond the format's range: stored as
            infinite, it would spoil all that is learned from it.
    """
    most, allowed = float(np.abs(features).max(initial=0)), float(np.finfo(kind).max)
    if not most <= allowed:  # so that nan is met too
        raise HarmonyError(
            "the backbone gives features that cannot be stored",
            found=f"a value of {most:g}",
            allowed=f"-{allowed:g} to {allowed:g}",
            mend="choose another backbone.name or backbone.weights",
        )
    return features.astype(kind, copy=False)


def feature_rule(
    pixels: PixelStore,
    model: GraftedModel,
    preprocessing: Preprocessing,
    options: FeatureExtractionOptions,
) -> dict[str, Any]:
    """How features are made: other decoding, view, weights or engine, other features."""
    engine = engine_identity(model, options.engine, options.precision)
    return {
        "decoding": pixels.options.digest,
        "view": preprocessing.digest,
        "architecture": model.backbone.contract.architecture,
        "maps": getattr(model.backbone, "reductions", None),
        WEIGHTS: digest_state(dict(model.backbone.state_dict())),
        # Sums over batches of another size end in other bits.
        "engine": f"{engine} in batches of {options.batch_size}",
    }


def _plan(split_manifest: pd.DataFrame, views: int, augment_digest: str) -> pd.DataFrame:
    plain = split_manifest[["id", "sha256", "split"]].assign(view=0)
    plain["key"] = plain["sha256"]
    parts = [plain]
    for view in range(1, views + 1):
        drawn = plain[plain["split"] == "train"].assign(view=view)
        # What a view shows depends on the sample's id as well as on its pixels.
        drawn["key"] = [
            digest_of([row.sha256, row.id, view, augment_digest]) for row in drawn.itertuples()
        ]
        parts.append(drawn)
    return pd.concat(parts, ignore_index=True)


def _compute(
    todo: pd.DataFrame,
    pixels: PixelStore,
    preprocessing: Preprocessing,
    engine: Engine,
    store: ArrayStore,
    augment: Augment | None,
    kind: type[np.floating[Any]],
) -> None:
    """Views are made by threads while the engine works on the batch before."""

    def make(row: tuple[str, str, int]) -> Array:
        sample_id, sha256, view = row
        found = pixels.read(sha256)
        if view and augment is not None:
            return augment(found, sample_id, view)
        return view_of(found, preprocessing)

    rows, size = list(zip(todo["id"], todo["sha256"], todo["view"], strict=True)), engine.at_once
    keys = iter(todo["key"])
    chunks = (rows[start : start + size] for start in range(0, len(rows), size))
    progress = tqdm(total=len(rows), desc="features", mininterval=2, leave=False, disable=None)
    with store.writer() as writer, progress:
        for views in made_ahead(make, chunks, workers=2):
            features = as_stored(engine.features(np.stack(views)), kind)
            for feature in features:
                writer.add(next(keys), feature)
            progress.update(len(views))
