"""Images as a frozen backbone sees them: from tables and stores to batches that can be compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from graft.vision.backbones.pyramid import Pyramid
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import classes_of
from graft.vision.features.engines import Engine, choose_engine
from graft.vision.features.extraction import as_stored, feature_rule, stored_kind
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.model import GraftedModel
from graft.vision.monitoring.batch import Batch, class_columns
from graft.vision.monitoring.image_statistics import image_statistics
from graft.vision.monitoring.shifts import SHIFTS, STRENGTHS
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array, digest_of
from graft.vision.store import ArrayStore

Shapes = Sequence[tuple[int, int, int]]


class StoredPixels(Sequence[Array]):
    """Upright (H, W, C) uint8 pixels of many files, each read when it is asked for."""

    def __init__(self, pixels: PixelStore, digests: Sequence[str]) -> None:
        self._pixels, self._digests = pixels, list(digests)

    def __len__(self) -> int:
        return len(self._digests)

    @overload
    def __getitem__(self, place: int) -> Array: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Array]: ...

    def __getitem__(self, place: int | slice) -> Array | Sequence[Array]:
        if isinstance(place, slice):
            return StoredPixels(self._pixels, self._digests[place])
        return self._pixels.read(self._digests[place])


@dataclass
class Sight:
    """The frozen backbone of a case, with the stores of what it has seen.

    Attributes:
        model: with the backbone as it is before any training.
        folder: of frozen features; what is missing there is computed.
    """

    model: GraftedModel
    pixels: PixelStore
    preprocessing: Preprocessing
    folder: Path
    options: FeatureExtractionOptions = field(default_factory=FeatureExtractionOptions)

    def at_hand(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows whose pixels are stored; those of files that are gone may not be."""
        there = [
            sha256 in self.pixels and "reason" not in self.pixels.facts(sha256)
            for sha256 in rows["sha256"]
        ]
        return rows[np.array(there, bool)].reset_index(drop=True)

    def batch(self, rows: pd.DataFrame, classes: Sequence[str] = ()) -> Batch:
        """These images, all at hand: embeddings, units, and statistics.

        Args:
            rows: ``id``, ``sha256``, ``width``, ``height``, ``unit``; ``truth`` where classes are
                named, of which statistics then tell whether annotators said them.
        """
        size = np.log(rows["width"].to_numpy(float) * rows["height"].to_numpy(float))
        statistics = image_statistics(self.show(rows)).assign(size=size)
        if classes:
            said = class_columns([classes_of(text) for text in rows["truth"]], classes)
            statistics = pd.concat([statistics, said], axis=1)
        return Batch(self._embeddings(rows), list(rows["unit"]), statistics)

    def show(self, rows: pd.DataFrame) -> StoredPixels:
        """The pixels of these rows."""
        return StoredPixels(self.pixels, list(rows["sha256"]))

    def twins(self, rows: pd.DataFrame) -> Mapping[str, Mapping[float, Batch]]:
        """By shift and strength, the same images shifted so."""
        return {
            name: {strength: self._shifted(rows, name, strength) for strength in STRENGTHS[name]}
            for name in SHIFTS
        }

    def _shifted(self, rows: pd.DataFrame, name: str, strength: float) -> Batch:
        shown = [SHIFTS[name](pixels, strength) for pixels in self.show(rows)]
        return Batch(
            _stacked(list(self._embed(shown))), list(rows["unit"]), image_statistics(shown)
        )

    def _embeddings(self, rows: pd.DataFrame) -> Array:
        """(N, D) float32. Means of maps are kept: maps are large, and asked for each time."""
        maps = ArrayStore(self.folder, self._namespace)
        means = ArrayStore(self.folder, f"{self._namespace}-means")
        missing = means.missing(rows["sha256"])
        if missing:
            with means.writer() as writer:
                todo = [sha256 for sha256 in missing if sha256 not in maps]
                for sha256 in (sha256 for sha256 in missing if sha256 in maps):
                    writer.add(sha256, mean_over_places(maps.read(sha256), self._shapes))
                # Without an engine where there is nothing to compute.
                seen = self._embed(StoredPixels(self.pixels, todo)) if todo else ()
                for sha256, embedding in zip(todo, seen, strict=True):
                    writer.add(sha256, embedding)
        return _stacked([means.read(sha256) for sha256 in rows["sha256"]])

    def _embed(self, images: Iterable[Array]) -> Iterator[Array]:
        views = (view_of(pixels, self.preprocessing) for pixels in images)
        kind = stored_kind(self.model)
        for part in _parts(views, self._engine.at_once):
            for feature in as_stored(self._engine.features(part), kind):
                yield mean_over_places(feature, self._shapes)

    @cached_property
    def _namespace(self) -> str:
        rule = feature_rule(self.pixels, self.model, self.preprocessing, self.options)
        return digest_of(rule)[:24]

    @cached_property
    def _engine(self) -> Engine:
        size, said = self.preprocessing.size_px, self.options
        return choose_engine(
            self.model, size, said.batch_size, said.engine, said.precision, self.folder
        )

    @cached_property
    def _shapes(self) -> Shapes:
        """Of the maps that features are laid out of; none where they are pooled already."""
        backbone = self.model.backbone
        if isinstance(backbone, Pyramid):
            return backbone.map_shapes(self.preprocessing.size_px)
        return ()


def mean_over_places(feature: Array, shapes: Shapes) -> Array:
    """(D,) float32: the mean of each channel over its map; pooled features as they are.

    Args:
        feature: (F,) of one image; maps are laid end to end.
        shapes: (channels, height, width) of each map.
    """
    if not shapes:
        return feature.astype(np.float32)
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    maps = np.split(feature, ends)
    return np.concatenate(
        [
            part.reshape(shape[0], -1).mean(axis=1, dtype=np.float32)
            for part, shape in zip(maps, shapes, strict=True)
        ]
    )


def _stacked(embeddings: list[Array]) -> Array:
    return np.stack(embeddings) if embeddings else np.zeros((0, 1), np.float32)


def _parts(views: Iterator[Array], size: int) -> Iterator[Array]:
    part: list[Array] = []
    for view in views:
        part.append(view)
        if len(part) == size:
            yield np.stack(part)
            part = []
    if part:
        yield np.stack(part)
