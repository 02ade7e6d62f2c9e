"""Images as monitoring sees them: an embedding each, whose draw they are, and simple statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from graft.vision.errors import DataError
from graft.vision.records import Array

CLASS = "class "
"""Begins the name of a column that tells whether a class was predicted in an image."""


@dataclass(frozen=True)
class Batch:
    """Images of one side, known or new; rows of all parts are the same images.

    Attributes:
        embeddings: (N, D) pooled features of the frozen backbone; the mean over places where
            features are maps.
        units: (N,) what each image was drawn with: its group, track or near copies. Images of one
            unit count as one draw. An image that stands alone is a unit of its own.
        statistics: (N, F) numbers that a person understands, by name: `image_statistics`,
            `size`, `class_columns`; may have no column.

    Raises:
        DataError: for parts that do not fit each other, or numbers that are not finite.
    """

    embeddings: Array
    units: Sequence[str]
    statistics: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        rows = self.embeddings.shape
        statistics = self.statistics.to_numpy(float)
        whole = len(rows) == 2 and rows[0] == len(self.units)
        whole &= self.statistics.shape[1] == 0 or len(statistics) == len(self.units)
        if not whole or not np.isfinite(self.embeddings).all() or not np.isfinite(statistics).all():
            raise DataError(
                "a batch of images cannot be compared",
                found=f"embeddings {rows}, {len(self.units)} units, statistics {statistics.shape}",
                allowed="a row of finite numbers for each image",
                mend="extract the features again",
            )

    def __len__(self) -> int:
        return len(self.units)

    @property
    def unit_count(self) -> int:
        """How many units the images are of."""
        return len(set(self.units))

    def rows(self, chosen: Array) -> "Batch":
        """These rows alone."""
        statistics = self.statistics.iloc[chosen] if self.statistics.shape[1] else self.statistics
        return Batch(self.embeddings[chosen], [self.units[i] for i in chosen], statistics)


def common_statistics(known: Batch, new: Batch) -> list[str]:
    """Names of the statistics that both sides have."""
    return [name for name in known.statistics.columns if name in new.statistics.columns]


def class_columns(predicted: Sequence[Sequence[str]], classes: Sequence[str]) -> pd.DataFrame:
    """(N, C) 0 or 1: whether each class was predicted in each image; `Batch.statistics`."""
    found = [set(names) for names in predicted]
    return pd.DataFrame(
        {f"{CLASS}{name}": [float(name in names) for names in found] for name in classes}
    )
